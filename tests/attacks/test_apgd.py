"""Auto-PGD against its algorithm written out for one sample, and its losses against their formulas."""

import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from ensemble_cases import Gated, batch_for, images, problem_for, seen_by
from torch import Tensor, nn

from lgm_bench import LGM
from lgm_bench.attacks.apgd import apgd, checkpoints
from lgm_bench.attacks.objective import Objective, Pass
from lgm_bench.attacks.objectives import CrossEntropy, TargetedDLR


class Waves(nn.Module):
    """A hilly second logit; the first is so large that the label 0 always stands."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        height = ((flat * 9).sin() + (flat * flat.roll(1, 1) * 31).cos()).sum(dim=1)
        return torch.stack([height * 0 + 1e6, height], dim=1)


class Peak(nn.Module):
    """A needle at the dark corner of the box, on a long slope: the loss keeps rising below where it began."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        height = 500 * (-1e4 * (flat - 0.3).square().sum(dim=1)).exp() + flat.sum(dim=1)
        return torch.stack([height * 0 + 1e6, height], dim=1)


class Height(Objective):
    """The second logit."""

    def __call__(self, seen: Pass) -> Tensor:
        return seen.logits[:, 1]


def close(interval: int) -> range:
    """Numbers of rises so near below the bound of 75 % that a bound of 70 % would decide otherwise."""
    return range(math.ceil(0.7 * interval), math.ceil(0.75 * interval))


def algorithm_1(
    f: Callable[[Tensor], Tensor], start: Tensor, lower: Tensor, upper: Tensor, eps: float, steps: int, seen: Counter
) -> tuple[Tensor, Tensor]:
    """Croce & Hein 2020, Alg. 1, with plain loops and lists; returns x_max of one sample and all points visited."""

    def slope(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        return torch.autograd.grad(f(x), x)[0]

    def inside(x: Tensor) -> Tensor:
        return x.clamp(lower, upper)

    path, visited, values, size = [start], [start], [float(f(start))], 2 * eps
    best, highest, halved_at, highest_at = start, values[0], {0: True}, {0: values[0]}
    marks, rises, j = checkpoints(steps), 0, 1
    for k in range(steps):
        z = inside(path[-1] + size * slope(path[-1]).sign())
        new = z if k == 0 else inside(path[-1] + 0.75 * (z - path[-1]) + 0.25 * (path[-1] - path[-2]))
        path.append(new)
        visited.append(new)
        values.append(float(f(new)))
        rises += values[-1] > values[-2]
        if values[-1] > highest:
            best, highest = new, values[-1]
        if j < len(marks) and k + 1 == marks[j]:
            first = rises < 0.75 * (marks[j] - marks[j - 1])
            second = not halved_at[j - 1] and highest_at[j - 1] == highest
            seen.update({(first, second): 1, "close": rises in close(marks[j] - marks[j - 1])})
            halved_at[j], highest_at[j] = first or second, highest
            if first or second:
                size, path[-1], values[-1] = size / 2, best, highest
            rises, j = 0, j + 1
    return best, torch.stack(visited)


def compared(victim: nn.Module, x: Tensor, noise: Tensor, steps: int) -> Counter:
    """Compare both on every sample; return how often either condition held: (first, second) to a count."""
    batch, seen, asked = batch_for(victim, x), Counter(), []
    problem, budget, box = problem_for(victim, batch, eps=0.2)
    handle = victim.register_forward_pre_hook(lambda _, given: asked.append(given[0].detach().clone()))
    with torch.no_grad():
        found = apgd(problem, budget, Height(), noise, steps, lambda: None)
    handle.remove()
    path = torch.stack(asked, dim=1)
    for row in range(len(x)):
        lower, upper = box.lower[row], box.upper[row]
        start = (x[row] + 0.2 * noise[row]).clamp(lower, upper)
        best, visited = algorithm_1(lambda one: victim(one[None])[0, 1], start, lower, upper, 0.2, steps, seen)
        assert torch.allclose(path[row], visited, rtol=0, atol=1e-12)
        assert torch.allclose(found[row], best, rtol=0, atol=1e-12)
    return seen


def test_follows_the_algorithm() -> None:
    seen = compared(Waves(), images(6, size=4, seed=4), 2 * images(6, size=4, seed=2) - 1, steps=60)
    assert seen[True, False]
    assert seen[False, False]
    assert seen["close"]


def test_follows_the_algorithm_where_only_the_best_loss_stands_still() -> None:
    grey = torch.full((1, 3, 2, 2), 0.5, dtype=torch.float64)
    assert compared(Peak(), grey, -torch.ones_like(grey), steps=100)[False, True]


def test_checkpoints_ascend_from_0_for_any_number_of_steps() -> None:
    for steps in (1, 2, 5, 10, 33, 100, 1000):
        marks = checkpoints(steps)
        assert marks[0] == 0
        assert marks == sorted(set(marks))
        assert marks[-1] <= steps
        assert marks[1] == max(1, -(-22 * steps // 100))


def test_ratio_loss_is_the_targeted_dlr() -> None:
    victim = Gated(classes=6)
    batch = batch_for(victim, images(5))
    logits = victim(batch.images).detach()
    aim = (batch.labels + 2) % 6
    loss = TargetedDLR(aim)
    raised = loss(seen_by(logits, batch.labels))
    for row, z in enumerate(logits.tolist()):
        ordered = sorted(z, reverse=True)
        lead = z[batch.labels[row]] - z[aim[row]]
        expected = -lead / (ordered[0] - (ordered[2] + ordered[3]) / 2)
        assert float(raised[row]) == pytest.approx(expected, rel=1e-9)
    raised = loss(seen_by(logits, batch.labels, aim))
    for row, z in enumerate(logits.tolist()):
        ordered = sorted(z, reverse=True)
        rival = max(value for number, value in enumerate(z) if number != aim[row])
        expected = (z[aim[row]] - rival) / (ordered[0] - ordered[2])
        assert float(raised[row]) == pytest.approx(expected, rel=1e-9)


def test_losses_rise_towards_what_the_attack_wants() -> None:
    victim = Gated()
    batch = batch_for(victim, images(4))
    aim = (batch.labels + 1) % 5
    logits = victim(batch.images).detach()
    better = logits.scatter_add(1, aim[:, None], torch.full((4, 1), 0.5, dtype=torch.float64))
    for target in (None, aim):
        for loss in (CrossEntropy(), TargetedDLR(aim)):
            before, after = (loss(seen_by(z, batch.labels, target)) for z in (logits, better))
            assert bool((after > before).all())


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes(classes: int) -> None:
    victim = Gated(classes=classes)
    batch = batch_for(victim, images(3))
    aim = (batch.labels + 1) % classes
    logits = victim(batch.images)
    rise = logits.gather(1, aim[:, None]) - logits.gather(1, batch.labels[:, None])
    assert torch.equal(TargetedDLR(aim)(seen_by(logits, batch.labels)), rise.squeeze(1))
    targeted = TargetedDLR(aim)(seen_by(logits, batch.labels, aim))
    assert bool(targeted.isfinite().all())


def test_a_soft_forward_pass_does_not_decide() -> None:
    victim = Gated(seed=2)
    batch = batch_for(victim, images(10))
    method = LGM(0.05)
    problem, budget, _ = problem_for(victim, batch, 0.05, method)
    with method.applied_to(victim):
        soft = victim(batch.images).argmax(dim=1)
    assert bool((soft != batch.labels).any()), "the soft network must disagree somewhere for this test to mean anything"
    with torch.no_grad():
        found = apgd(problem, budget, CrossEntropy(), torch.zeros_like(batch.images), 1, lambda: None)
    unmoved = (found == batch.images).flatten(1).all(dim=1)
    assert not bool(unmoved.any()), "one that only the soft network gives away must be worked on"


def test_hands_back_the_first_point_that_fell() -> None:
    victim = Gated(seed=1)
    batch = batch_for(victim, images(10))
    problem, budget, _ = problem_for(victim, batch, 0.02)
    noise = torch.zeros_like(batch.images)
    with torch.no_grad():
        by_length = [apgd(problem, budget, CrossEntropy(), noise, steps, lambda: None) for steps in (1, 3)]
        fell = [problem.reached(problem.hard_logits(found)) for found in by_length]
    assert 0 < int(fell[0].sum()) < 10
    assert torch.equal(by_length[1][fell[0]], by_length[0][fell[0]])
