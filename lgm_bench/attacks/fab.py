"""Targeted Fast Adaptive Boundary attack (FAB, Croce & Hein 2020), L-infinity."""

from collections.abc import Callable

import torch
from torch import Tensor

from lgm_bench.attacks.budgets import Box
from lgm_bench.attacks.objective import Objective, Pass
from lgm_bench.attacks.objectives import lead_over
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.survivors import Survivors
from lgm_bench.losses import margin

ALPHA_MAX = 0.1
OVERSHOOT = 1.05
BACKWARD = 0.9


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


def project_onto_hyperplane(point: Tensor, normal: Tensor, value: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Return the smallest change d (L-infinity) that brings `value` + normal . d to 0 with point + d inside a box.

    Every coordinate moves by the same radius r towards the plane, or to the border of the box if that is nearer. The
    radius solves sum_j |w_j| min(r, room_j) = |value|; the left side is piecewise linear in r. If the box does not
    reach the plane, all coordinates go to its border (Croce & Hein 2020, FAB, Eq. 5 and 6).

    Args:
        point: (B, D), inside the box.
        normal: The plane's normal w at each point, (B, D).
        value: The linear function at each point, (B,).
        lower: Smallest coordinates, (B, D); equal to `upper` where a coordinate must not move.
        upper: Largest coordinates, (B, D).
    """
    direction = -value.sign()[:, None] * normal.sign()
    room = torch.where(direction > 0, upper - point, point - lower) * direction.abs()
    ordered, order = room.sort(dim=1, stable=True)
    weight = normal.abs().gather(1, order)
    spent = (weight * ordered).cumsum(dim=1)
    free = (weight.sum(dim=1, keepdim=True) - weight.cumsum(dim=1)).clamp(min=0)
    need = value.abs()[:, None]
    first = torch.searchsorted(spent + ordered * free, need)  # the coordinates before it are at the border
    last = room.shape[1] - 1
    before = (first - 1).clamp(min=0)
    spent_before = torch.where(first > 0, spent.gather(1, before), 0)
    free_before = torch.where(first > 0, free.gather(1, before), weight.sum(dim=1, keepdim=True))
    radius = (need - spent_before) / free_before.clamp(min=torch.finfo(free.dtype).tiny)
    radius = torch.where(first > last, ordered[:, -1:], torch.minimum(radius, ordered.gather(1, first.clamp(max=last))))
    return direction * torch.minimum(radius, room)


def fab(problem: Problem, aim: Tensor, box: Box, range_: Box, steps: int, tick: Callable[[], None]) -> Tensor:
    """Return values (B, ...) in a box: adversarial ones, or the nearest adversarial ones outside, projected into it.

    A hyperplane has the hard network's value and the gradient method's slope. With the value of a soft forward pass,
    FAB would settle at the soft network's boundary and never cross that of the hard network, whose verdict counts. The
    attack on a sample ends as soon as an adversarial point lies within eps.

    Args:
        problem: Samples to attack.
        aim: Classes int64, for each sample of the whole batch; the attack looks for the boundary of each.
        box: Allowed values.
        range_: Values that would be allowed if eps were unlimited.
        steps: Number of iterations; `tick` is called after each.
    """
    clean = problem.clean
    bounds = {"lower": box.lower, "upper": box.upper, "lowest": range_.lower, "highest": range_.upper}
    nearest, boundary = clean.new_full(clean.shape[:1], torch.inf), Boundary(aim)
    rest = Survivors(problem, clean, {"x": clean, "nearest": nearest, **bounds})
    for _ in range(steps):
        problem, state = rest.problem, rest.state
        x = _step(problem, state, boundary)
        adversarial = problem.reached(problem.hard_logits(x))
        distance = (x - problem.clean).abs().flatten(1).amax(dim=1)
        nearer = adversarial & (distance < state["nearest"])
        rest.keep(x, nearer)
        state["nearest"] = torch.where(nearer, distance, state["nearest"])
        back = problem.clean + BACKWARD * (x - problem.clean)
        state["x"] = torch.where(problem.wide(adversarial), back, x)
        tick()
        inside = ((x >= state["lower"]) & (x <= state["upper"])).flatten(1).all(dim=1)
        rest.drop(adversarial & inside)
        if not len(rest):
            break
    return box.project(rest.result)


def _step(problem: Problem, state: dict[str, Tensor], boundary: Boundary) -> Tensor:
    """Return the next iterate: a step to the plane from the current one, mixed with a step from the clean image."""
    x, clean = state["x"], problem.clean
    evaluation = problem.evaluate(x, boundary)
    value, normal = evaluation.objective, evaluation.gradient.flatten(1)
    if not problem.evaluates_hard:
        logits = problem.hard_logits(x)
        value = boundary.lead(logits, problem.labels, problem.samples, targeted=problem.targeted)
    at_clean = value + (normal * (clean - x).flatten(1)).sum(dim=1)
    lowest, highest = state["lowest"], state["highest"]
    sides = lowest.flatten(1), highest.flatten(1)
    from_x = project_onto_hyperplane(x.flatten(1), normal, _resolvable(value, normal), *sides)
    from_clean = project_onto_hyperplane(clean.flatten(1), normal, at_clean, *sides)
    near, far = (change.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) for change in (from_x, from_clean))
    alpha = (near / (near + far)).clamp(max=ALPHA_MAX)
    forward = (1 - alpha) * (x.flatten(1) + OVERSHOOT * from_x)
    biased = alpha * (clean.flatten(1) + OVERSHOOT * from_clean)
    return (forward + biased).view_as(x).clamp(lowest, highest)


def _resolvable(value: Tensor, normal: Tensor) -> Tensor:
    """Return the values (B,) of the planes, with planes ahead at least one float resolution of an intensity away.

    If a plane were nearer, rounding would undo the step, overshoot included, and the iterate would stay for good.
    """
    least = torch.finfo(value.dtype).eps * normal.abs().sum(dim=1)
    return torch.where(value <= 0, torch.minimum(value, -least), value)
