"""FAB-T against linear and quadratic programmes and against victims whose boundaries are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ensemble_cases import Linear, batch_for, images, problem_for
from scipy.optimize import LinearConstraint, linprog, minimize
from torch import Tensor, nn

from lgm_bench import LGM, Occupancy
from lgm_bench.attacks.budgets import L2Ball
from lgm_bench.attacks.fab import _speed, fab, project_onto_hyperplane

EQUAL = torch.ones(1, 1, dtype=torch.float64)
"""Speeds of coordinates in the L-infinity norm."""


def least_radius(point: Tensor, normal: Tensor, value: float, lower: Tensor, upper: Tensor) -> float | None:
    """min r with |d_j| <= r, value + normal . d = 0, point + d in the box: by linear programming."""
    size = len(point)
    objective = np.r_[np.zeros(size), 1.0]
    one, column = np.eye(size), -np.ones((size, 1))
    answer = linprog(
        objective,
        A_ub=np.block([[one, column], [-one, column]]),
        b_ub=np.zeros(2 * size),
        A_eq=np.r_[normal.numpy(), 0.0][None],
        b_eq=[-value],
        bounds=[*zip((lower - point).tolist(), (upper - point).tolist(), strict=True), (0, None)],
    )
    return float(answer.fun) if answer.status == 0 else None


def test_projection_is_the_linear_programmes() -> None:
    generator = torch.Generator().manual_seed(3)
    reachable = 0
    for _ in range(120):
        size = int(torch.randint(1, 9, (), generator=generator))
        point, wide = (torch.rand(size, generator=generator, dtype=torch.float64) for _ in range(2))
        lower, upper = torch.zeros_like(point), torch.maximum(point, wide)
        normal = torch.randn(size, generator=generator, dtype=torch.float64)
        normal[torch.rand(size, generator=generator) < 0.2] = 0
        fixed = torch.rand(size, generator=generator) < 0.2
        lower[fixed], upper[fixed] = point[fixed], point[fixed]
        value = float(torch.randn((), generator=generator, dtype=torch.float64))
        change = project_onto_hyperplane(
            point[None], normal[None], torch.tensor([value], dtype=torch.float64), lower[None], upper[None], EQUAL
        )[0]
        assert bool(((point + change >= lower - 1e-12) & (point + change <= upper + 1e-12)).all())
        expected = least_radius(point, normal, value, lower, upper)
        if expected is None:  # out of reach: as near to the plane as the box allows
            best = np.where(-np.sign(value) * normal > 0, upper - point, point - lower) * normal.abs().numpy()
            assert float((change * normal).abs().sum()) == pytest.approx(best.sum(), abs=1e-9)
        else:
            reachable += 1
            assert float(change.abs().max()) == pytest.approx(expected, abs=1e-7)
            assert value + float(change @ normal) == pytest.approx(0, abs=1e-9)
    assert 30 < reachable < 110


def test_projection_in_l2_is_the_quadratic_programmes() -> None:
    generator = torch.Generator().manual_seed(5)
    clipped = 0
    for _ in range(40):
        point = torch.rand(5, generator=generator, dtype=torch.float64)
        lower, upper = torch.zeros_like(point), torch.ones_like(point)
        normal = torch.randn(5, generator=generator, dtype=torch.float64)
        normal[torch.rand(5, generator=generator) < 0.2] = 0
        reach = float(torch.where(normal > 0, upper - point, point) @ normal.abs())
        value = -reach * float(torch.rand((), generator=generator, dtype=torch.float64)) * 0.9
        plane = torch.tensor([value], dtype=torch.float64)
        speed = _speed(normal[None], L2Ball(1.0))
        change = project_onto_hyperplane(point[None], normal[None], plane, lower[None], upper[None], speed)[0]
        answer = minimize(
            lambda d: float(d @ d),
            np.zeros(5),
            jac=lambda d: 2 * d,
            bounds=list(zip((lower - point).tolist(), (upper - point).tolist(), strict=True)),
            constraints=LinearConstraint(normal.numpy()[None], -value, -value),
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert value + float(change @ normal) == pytest.approx(0, abs=1e-9)
        assert bool(((point + change >= -1e-12) & (point + change <= 1 + 1e-12)).all())
        assert float(change.norm()) == pytest.approx(float(np.linalg.norm(answer.x)), abs=1e-5)
        clipped += bool((((point + change) < 1e-9) | ((point + change) > 1 - 1e-9)).any())
    assert 5 < clipped < 40


def test_finds_a_linear_boundary_where_it_is_in_l2() -> None:
    victim = Linear(classes=2)
    batch = batch_for(victim, images(3, size=4, margin=0.4))
    weight = victim.layer.weight[1 - batch.labels] - victim.layer.weight[batch.labels]
    lead = victim(batch.images).gather(1, torch.stack([batch.labels, 1 - batch.labels], 1)).diff(dim=1).squeeze(1)
    exact = -lead / weight.norm(dim=1)
    for row, distance in enumerate(exact.tolist()):
        for factor, falls in ((1.06, True), (0.98, False)):
            ball = L2Ball(distance * factor)
            problem = replace(problem_for(victim, batch, 0.1)[0], region=ball.around(batch.images))
            with torch.no_grad():
                found = fab(problem, 1 - batch.labels, ball, 8, lambda: None)
                assert bool(problem.reached(problem.hard_logits(found))[row]) is falls
            assert bool(ball.within(batch.images, found).all())


def test_projection_of_a_batch_is_that_of_its_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    point, normal = torch.rand(16, 30, generator=generator), torch.randn(16, 30, generator=generator)
    value = torch.randn(16, generator=generator)
    lower, upper = torch.zeros_like(point), torch.ones_like(point)
    together = project_onto_hyperplane(point, normal, value, lower, upper, EQUAL)
    for row in range(16):
        alone = project_onto_hyperplane(*(part[row : row + 1] for part in (point, normal, value, lower, upper)), EQUAL)
        assert torch.equal(alone[0], together[row])


def run(victim: nn.Module, eps: float, mask: Tensor | None = None, target: Tensor | None = None) -> tuple:
    """One run of FAB-T at the likeliest wrong class of three images; which fell, and the class's linear distance."""
    batch = batch_for(victim, images(3, size=4, margin=0.4))
    logits = victim(batch.images)
    aim = logits.topk(2, dim=1).indices[:, 1] if target is None else target
    problem, budget, _ = problem_for(victim, batch, eps, mask=mask, target=target)
    with torch.no_grad():
        found = fab(problem, aim, budget, 8, lambda: None)
        assert torch.equal(problem.project(found), found)
        return problem.reached(problem.hard_logits(found)), batch, aim, found


def distances(victim: Linear, batch, aim: Tensor, mask: Tensor) -> Tensor:
    weight = victim.layer.weight[aim] - victim.layer.weight[batch.labels]
    lead = victim(batch.images).gather(1, torch.stack([batch.labels, aim], 1)).diff(dim=1).squeeze(1)
    return -lead / (weight.abs() * mask.expand(3, 4, 4).flatten()).sum(dim=1)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_finds_a_linear_boundary_where_it_is(share: float) -> None:
    victim = Linear(classes=2)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask.view(-1)[: int(16 * share)] = True
    _, batch, aim, _ = run(victim, 0.3, mask)
    exact = distances(victim, batch, aim, mask)
    assert bool((exact < 0.3).all())
    for row, distance in enumerate(exact.tolist()):
        for factor, falls in ((1.06, True), (0.98, False)):  # it steps 5 % beyond the plane
            fallen, _, _, found = run(victim, distance * factor, mask)
            assert bool(fallen[row]) is falls
            assert torch.equal(found.masked_select(~mask), batch.images.masked_select(~mask))


def test_iterates_are_the_publications() -> None:
    """Along d, from the image to a linear boundary: 5 % beyond it, biased towards the image, and back by a tenth."""
    victim = Linear(classes=2)
    batch = batch_for(victim, images(3, size=4, margin=0.4))
    everywhere = torch.ones(4, 4, dtype=torch.bool)
    weight = victim.layer.weight[1 - batch.labels] - victim.layer.weight[batch.labels]
    d = (distances(victim, batch, 1 - batch.labels, everywhere)[:, None] * weight.sign()).view_as(batch.images)
    seen: list[Tensor] = []
    victim.register_forward_hook(lambda _, inputs, __: None if torch.is_grad_enabled() else seen.append(inputs[0]))
    with torch.no_grad():
        problem, budget, _ = problem_for(victim, batch, 1e-6)
        fab(problem, 1 - batch.labels, budget, 4, lambda: None)
    place = 0.0  # in d, of the iterate
    for x in seen:
        ahead = abs(1 - place)
        alpha = min(ahead / (ahead + 1), 0.1)
        place = (1 - alpha) * (place + 1.05 * (1 - place)) + alpha * 1.05
        assert torch.allclose(x, batch.images + place * d, rtol=0, atol=1e-12)
        place *= 0.9 if place > 1 else 1.0
    assert len(seen) == 4


def test_targeted_needs_the_target_itself() -> None:
    victim = Linear(classes=4, seed=1)
    batch = batch_for(victim, images(3, size=4, margin=0.4))
    target = victim(batch.images).argmin(dim=1)
    fallen, _, _, found = run(victim, 0.39, target=target)
    assert torch.equal(victim(found).argmax(dim=1) == target, fallen)
    assert int(fallen.sum()) >= 1


class Shifted(nn.Module):
    """Hard and soft boundary lie apart: the soft network gives class 1 long before the hard one does."""

    def __init__(self) -> None:
        super().__init__()
        self.occupancy = Occupancy()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        brightness = (x - 0.5).mean(dim=(1, 2, 3))
        extra = 0.4 * self.occupancy(torch.full_like(brightness, -0.5))  # 0 hard, 0.15 soft
        return torch.stack([torch.full_like(brightness, 0.2), brightness + extra], dim=1)


def test_crosses_the_hard_boundary_with_a_leaded_slope() -> None:
    victim = Shifted()
    batch = batch_for(victim, torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64))
    problem, budget, _ = problem_for(victim, batch, 0.22, LGM(1.0))
    with torch.no_grad():
        aim = torch.ones(1, dtype=torch.int64)
        found = fab(problem, aim, budget, 5, lambda: None)
        assert bool(problem.reached(problem.hard_logits(found)).all())
        assert float((found - batch.images).abs().max()) <= 0.22 + 1e-12


class Brink(nn.Module):
    """A boundary 1e-9 away in float32, where a step of the exact length is rounded away."""

    def forward(self, x: Tensor) -> Tensor:
        lead = (x - 0.75).sum(dim=(1, 2, 3)) - 1e-9
        return torch.stack([torch.zeros_like(lead), lead], dim=1)


def test_does_not_stall_where_a_step_is_rounded_away() -> None:
    victim = Brink().eval()
    batch = batch_for(victim, torch.full((2, 3, 4, 4), 0.75))
    assert batch.labels.tolist() == [0, 0]
    problem, budget, _ = problem_for(victim, batch, 1e-5)
    with torch.no_grad():
        aim = torch.ones(2, dtype=torch.int64)
        found = fab(problem, aim, budget, 3, lambda: None)
        assert bool(problem.reached(problem.hard_logits(found)).all())
