"""Targeted Fast Adaptive Boundary attack (FAB, Croce & Hein 2020), L-infinity and L2."""

from collections.abc import Callable

import torch
from torch import Tensor

from lgm_bench.attacks.budgets import L2Ball, LinfBall
from lgm_bench.attacks.objective import Objective, Pass
from lgm_bench.attacks.objectives import lead_over
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.survivors import Survivors
from lgm_bench.losses import margin

ALPHA_MAX = 0.1
OVERSHOOT = 1.05
BACKWARD = 0.9
SLOWEST = 1e-12
"""Least speed of a coordinate relative to the fastest, so that no room is divided by 0."""


class Boundary(Objective):
    """Lead of the classes `aim` over the label; in a targeted attack, over their strongest rival.

    Args:
        aim: Classes (B,) int64 of the whole batch.
    """

    def __init__(self, aim: Tensor) -> None:
        self.aim = aim

    def __call__(self, seen: Pass) -> Tensor:
        return self.lead(seen.logits, seen.labels, seen.samples, targeted=seen.target is not None)

    def lead(self, logits: Tensor, labels: Tensor, samples: Tensor, *, targeted: bool) -> Tensor:
        """Return the lead (B,) of some samples (B,) of the batch, from logits (B, C) and labels (B,)."""
        aim = self.aim[samples]
        return margin(logits, aim) if targeted else lead_over(logits, aim, labels)


def project_onto_hyperplane(
    point: Tensor, normal: Tensor, value: Tensor, lower: Tensor, upper: Tensor, speed: Tensor
) -> Tensor:
    """Return the smallest change d that brings `value` + normal . d to 0 with point + d inside a box.

    Every coordinate moves towards the plane at its own speed v_j, until it reaches the border of the box. The time t
    solves sum_j |w_j| min(t v_j, room_j) = |value|; the left side is piecewise linear in t. Equal speeds make the
    largest |d_j| smallest, and speeds in proportion to |w_j| the L2 norm. If the box does not reach the plane, all
    coordinates go to its border (Croce & Hein 2020, FAB, Eq. 5 and 6).

    Args:
        point: (B, D), inside the box.
        normal: The plane's normal w at each point, (B, D).
        value: The linear function at each point, (B,).
        lower: Smallest coordinates, (B, D); equal to `upper` where a coordinate must not move.
        upper: Largest coordinates, (B, D).
        speed: Speeds v, positive; broadcasts to (B, D).
    """
    direction = -value.sign()[:, None] * normal.sign()
    room = torch.where(direction > 0, upper - point, point - lower) * direction.abs()
    ordered, order = (room / speed).sort(dim=1, stable=True)
    weight = (normal.abs() * speed).gather(1, order)
    spent = (weight * ordered).cumsum(dim=1)
    free = (weight.sum(dim=1, keepdim=True) - weight.cumsum(dim=1)).clamp(min=0)
    need = value.abs()[:, None]
    first = torch.searchsorted(spent + ordered * free, need)  # the coordinates before it are at the border
    last = room.shape[1] - 1
    before = (first - 1).clamp(min=0)
    spent_before = torch.where(first > 0, spent.gather(1, before), 0)
    free_before = torch.where(first > 0, free.gather(1, before), weight.sum(dim=1, keepdim=True))
    time = (need - spent_before) / free_before.clamp(min=torch.finfo(free.dtype).tiny)
    time = torch.where(first > last, ordered[:, -1:], torch.minimum(time, ordered.gather(1, first.clamp(max=last))))
    return direction * torch.minimum(time * speed, room)


def fab(problem: Problem, aim: Tensor, budget: LinfBall, steps: int, tick: Callable[[], None]) -> Tensor:
    """Return allowed values (B, ...): adversarial ones, or the nearest adversarial ones, projected into the budget.

    A hyperplane has the hard network's value and the gradient method's slope. With the value of a soft forward pass,
    FAB would settle at the soft network's boundary and never cross that of the hard network, whose verdict counts. The
    attack on a sample ends as soon as an adversarial point lies within eps.

    Args:
        problem: Samples to attack.
        aim: Classes int64, for each sample of the whole batch; the attack looks for the boundary of each.
        budget: What may change.
        steps: Number of iterations; `tick` is called after each.
    """
    clean, region, range_ = problem.clean, problem.region, budget.range(problem.clean)
    sides = {"lowest": range_.lower, "highest": range_.upper}
    nearest, boundary = clean.new_full(clean.shape[:1], torch.inf), Boundary(aim)
    rest = Survivors(problem, clean, {"x": clean, "nearest": nearest, **sides})
    for _ in range(steps):
        problem, state = rest.problem, rest.state
        x = _step(problem, budget, state, boundary)
        adversarial = problem.reached(problem.hard_logits(x))
        distance = budget.distance(problem.clean, x)
        nearer = adversarial & (distance < state["nearest"])
        rest.keep(x, nearer)
        state["nearest"] = torch.where(nearer, distance, state["nearest"])
        back = problem.clean + BACKWARD * (x - problem.clean)
        state["x"] = torch.where(problem.wide(adversarial), back, x)
        tick()
        rest.drop(adversarial & problem.region.contains(x))
        if not len(rest):
            break
    return region.project(rest.result)


def _step(problem: Problem, budget: LinfBall, state: dict[str, Tensor], boundary: Boundary) -> Tensor:
    """Return the next iterate: a step to the plane from the current one, mixed with a step from the clean image."""
    x, clean = state["x"], problem.clean
    evaluation = problem.evaluate(x, boundary)
    value, normal = evaluation.objective, evaluation.gradient.flatten(1)
    if not problem.evaluates_hard:
        logits = problem.hard_logits(x)
        value = boundary.lead(logits, problem.labels, problem.samples, targeted=problem.targeted)
    at_clean = value + (normal * (clean - x).flatten(1)).sum(dim=1)
    lowest, highest = state["lowest"], state["highest"]
    fixed = lowest.flatten(1), highest.flatten(1), _speed(normal, budget)
    from_x = project_onto_hyperplane(x.flatten(1), normal, _resolvable(value, normal), *fixed)
    from_clean = project_onto_hyperplane(clean.flatten(1), normal, at_clean, *fixed)
    near, far = (budget.size(change)[:, None].clamp(min=1e-8) for change in (from_x, from_clean))
    alpha = (near / (near + far)).clamp(max=ALPHA_MAX)
    forward = (1 - alpha) * (x.flatten(1) + OVERSHOOT * from_x)
    biased = alpha * (clean.flatten(1) + OVERSHOOT * from_clean)
    return (forward + biased).view_as(x).clamp(lowest, highest)


def _speed(normal: Tensor, budget: LinfBall) -> Tensor:
    """Return the speeds at which coordinates move to a plane on the shortest way in the norm of a budget."""
    if not isinstance(budget, L2Ball):
        return torch.ones_like(normal[:1])
    largest = normal.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(normal.dtype).tiny)
    return (normal.abs() / largest).clamp(min=SLOWEST)


def _resolvable(value: Tensor, normal: Tensor) -> Tensor:
    """Return the values (B,) of the planes, with planes ahead at least one float resolution of an intensity away.

    If a plane were nearer, rounding would undo the step, overshoot included, and the iterate would stay for good.
    """
    least = torch.finfo(value.dtype).eps * normal.abs().sum(dim=1)
    return torch.where(value <= 0, torch.minimum(value, -least), value)
