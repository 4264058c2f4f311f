"""Targeted Fast Adaptive Boundary attack (Croce & Hein 2020, their paper on FAB), L-infinity."""

from collections.abc import Callable

import torch
from torch import Tensor

from lgm_bench.attacks.losses import margin
from lgm_bench.attacks.problem import Problem

ALPHA_MAX = 0.1
OVERSHOOT = 1.05
BACKWARD = 0.9


def boundary_distance(logits: Tensor, problem: Problem, aim: Tensor) -> Tensor:
    """Return by how much the class `aim` leads, (B,): over the label, or, targeted, over its strongest rival."""
    if problem.targeted:
        return margin(logits, aim)
    return (logits.gather(1, aim[:, None]) - logits.gather(1, problem.labels[:, None])).squeeze(1)


def project_onto_hyperplane(point: Tensor, normal: Tensor, value: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Return the smallest change d (L-infinity) that brings `value` + normal . d to 0 with point + d inside a box.

    Every coordinate moves by the same radius r towards the plane, or as far as the box lets it; the radius solves
    sum_j |w_j| min(r, room_j) = |value|, which rises piecewise linearly in r. Where the box does not reach the plane,
    all coordinates go to its border (Croce & Hein 2020, FAB, Eq. 5 and 6).

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


def fab(problem: Problem, aim: Tensor, lower: Tensor, upper: Tensor, steps: int, tick: Callable[[], None]) -> Tensor:
    """Return images (B, 3, H, W) in the box of `problem`: adversarial ones, or the nearest found, pulled into the box.

    A hyperplane has the hard network's value and the gradient method's slope: with the value of a soft forward pass
    FAB would settle at the boundary of the soft network and never cross the hard one's. Whether a point is adversarial
    is the hard network's verdict. A sample is left alone as soon as an adversarial point lies within eps.

    Args:
        problem: What is attacked.
        aim: Classes (B,) int64 whose boundary is looked for.
        lower: Smallest intensities regardless of eps, (B, 3, H, W): the image's own where it may not change.
        upper: Largest ones.
        steps: Number of iterations.
        tick: Called after every iteration.
    """
    clean = problem.clean
    images, rows = clean.clone(), torch.arange(len(clean), device=clean.device)
    state = {"x": clean, "aim": aim, "lower": lower, "upper": upper, "nearest": clean.new_full(aim.shape, torch.inf)}
    for _ in range(steps):
        x = _step(problem, state)
        adversarial = problem.reached(problem.hard_logits(x))
        distance = (x - problem.clean).abs().flatten(1).amax(dim=1)
        nearer = adversarial & (distance < state["nearest"])
        images[rows[nearer]] = x[nearer]
        state["nearest"] = torch.where(nearer, distance, state["nearest"])
        back = problem.clean + BACKWARD * (x - problem.clean)
        state["x"] = torch.where(adversarial[:, None, None, None], back, x)
        tick()
        inside = ((x >= problem.lower) & (x <= problem.upper)).flatten(1).all(dim=1)
        keep = ~(adversarial & inside)
        if not bool(keep.all()):
            rows, problem, state = rows[keep], problem.select(keep), {k: v[keep] for k, v in state.items()}
        if not len(rows):
            return images
    images[rows] = problem.project(images[rows])
    return images


def _step(problem: Problem, state: dict[str, Tensor]) -> Tensor:
    """Return the next iterate: towards the plane from the iterate, biased towards the plane from the clean image."""
    x, clean = state["x"], problem.clean
    evaluation = problem.evaluate(x, lambda logits, now: boundary_distance(logits, now, state["aim"]))
    value, normal = evaluation.objective, evaluation.gradient.flatten(1)
    if not problem.evaluates_hard:
        value = boundary_distance(problem.hard_logits(x), problem, state["aim"])
    at_clean = value + (normal * (clean - x).flatten(1)).sum(dim=1)
    box = state["lower"].flatten(1), state["upper"].flatten(1)
    from_x = project_onto_hyperplane(x.flatten(1), normal, _resolvable(value, normal), *box)
    from_clean = project_onto_hyperplane(clean.flatten(1), normal, at_clean, *box)
    near, far = (change.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) for change in (from_x, from_clean))
    alpha = (near / (near + far)).clamp(max=ALPHA_MAX)
    forward = (1 - alpha) * (x.flatten(1) + OVERSHOOT * from_x)
    biased = alpha * (clean.flatten(1) + OVERSHOOT * from_clean)
    return torch.minimum(torch.maximum((forward + biased).view_as(x), state["lower"]), state["upper"])


def _resolvable(value: Tensor, normal: Tensor) -> Tensor:
    """Return the values (B,) of the planes, those not yet crossed at least one float resolution of an intensity away.

    Nearer than that the step, overshoot included, is rounded away, and the iterate would stay where it is for good.
    """
    least = torch.finfo(value.dtype).eps * normal.abs().sum(dim=1)
    return torch.where(value <= 0, torch.minimum(value, -least), value)
