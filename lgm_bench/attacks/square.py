"""Square Attack (Andriushchenko et al. 2020), L-infinity and L2: random search with scores only."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.attacks.budgets import Ball
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.square_l2 import moved, placed, random_signs, tiled, two_hills
from lgm_bench.attacks.survivors import Survivors
from lgm_bench.losses import margin

SHARE = 0.8
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def square_side(query: int, height: int, width: int, *, in_ball: bool = False) -> int:
    """Return the side, in pixels, of the square that a query changes; its area is halved in stages.

    Within an L2 ball, sides are odd and at least 3, where the image is large enough.

    >>> [square_side(query, 32, 32) for query in (0, 11, 51, 8001)]
    [29, 20, 14, 1]
    >>> [square_side(query, 32, 32, in_ball=True) for query in (0, 11, 51, 8001)]
    [29, 21, 15, 3]
    """
    share = SHARE / 2 ** sum(query > bound for bound in HALVED_AFTER)
    side = round(math.sqrt(share * height * width))
    return min(max(side | 1, 3) if in_ball else max(side, 1), height, width)


def useful_corners(mask: Tensor, side: int) -> Tensor:
    """Return the top left corners (K, 2) of all squares that contain at least one pixel of a mask (H, W) bool."""
    return F.max_pool2d(mask[None].float(), side, stride=1)[0].nonzero()


def square(problem: Problem, generators: Sequence[torch.Generator], queries: int, tick: Callable[[], None]) -> Tensor:
    """Return images (B, C, H, W): the first that fool the hard network, or those with the lowest margin.

    The attack uses only scores of the hard network, so every gradient method gives the same result. With a mask, it
    draws squares that touch the mask. Each sample has its own random places.

    Args:
        problem: Samples to attack. Within a box, a proposal gives a square one colour, on the border of the box.
            Within an L2 ball, it moves the change in a second square into the first.
        generators: One CPU generator per sample.
        queries: Number of proposals per sample; `tick` is called after each.
    """
    region, (height, width) = problem.region, problem.clean.shape[2:]
    box, in_ball = (region.box, True) if isinstance(region, Ball) else (region, False)
    allowed = box.allowed[0, 0]
    start, state = _draws(problem, allowed, generators, queries)
    best = problem.project(problem.clean + problem.eps * start)
    lead, fallen = _lead(problem, best)
    rest = Survivors(problem, best, {"best": best, "lead": lead, **state})
    side = 0
    for query in range(queries):
        rest.keep(rest.state["best"], fallen)
        rest.drop(fallen)
        if not len(rest):
            return rest.result
        state = rest.state
        if side != square_side(query, height, width, in_ball=in_ball):
            side = square_side(query, height, width, in_ball=in_ball)
            corners = useful_corners(allowed, side)
        corner = corners[(state["places"][:, query] * len(corners)).long().clamp(max=len(corners) - 1)]
        proposal = _proposal(rest.problem, state, query, corner, side)
        lead, fallen = _lead(rest.problem, proposal)
        accepted = (lead < state["lead"]) | fallen
        state["best"] = torch.where(accepted[:, None, None, None], proposal, state["best"])
        state["lead"] = torch.where(accepted, lead, state["lead"])
        tick()
    rest.keep(rest.state["best"])
    return rest.result


def _lead(problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the margin (B,) of the labels, or minus that of the targets, and which samples (B,) bool have fallen."""
    logits = problem.hard_logits(x)
    lead = margin(logits, problem.classes)
    return (-lead if problem.targeted else lead), problem.reached(logits)


def _draws(
    problem: Problem, allowed: Tensor, generators: Sequence[torch.Generator], queries: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the changes with which the search starts, in units of eps, and random numbers of all queries by name.

    Changes (B, C, H, W) are tiles in an L2 ball and stripes in a box. "places" (B, queries, n) float64 in [0, 1) are
    those of n squares for each query, "signs" (B, queries, C) are -1 or 1, and "turned" (B, queries) is bool.
    """
    channels, _, width = problem.clean.shape[1:]
    in_ball, mask = isinstance(problem.region, Ball), allowed.cpu()
    starts, draws = [], []
    for generator in generators:
        starts.append(tiled(channels, mask, generator) if in_ball else random_signs((channels, 1, width), generator))
        draws.append(
            {
                "places": torch.rand(queries, 2 if in_ball else 1, generator=generator, dtype=torch.float64),
                "signs": random_signs((queries, channels), generator),
                "turned": torch.rand(queries, generator=generator) < 0.5,
            }
        )
    state = {name: torch.stack([draw[name] for draw in draws]).to(problem.clean.device) for name in draws[0]}
    return torch.stack(starts).to(problem.clean), state


def _proposal(problem: Problem, state: dict[str, Tensor], query: int, corner: Tensor, side: int) -> Tensor:
    """Return the images (B, C, H, W) of a query, for squares with top left corners (B, n, 2)."""
    clean, region, best = problem.clean, problem.region, state["best"]
    signs = state["signs"][:, query, :, None, None].to(clean)
    height, width = clean.shape[2:]
    window = _windows(corner[:, 0], side, height, width)
    if not isinstance(region, Ball):
        return torch.where(window, problem.project(clean + problem.eps * signs), best)
    other = _windows(corner[:, 1], side, height, width)
    hills = placed(two_hills(side).to(clean), state["turned"][:, query], corner[:, 0], height, width)
    change = moved(best - clean, problem.eps, window, other, signs * hills * region.box.allowed)
    return problem.project(clean + change)


def _windows(corner: Tensor, side: int, height: int, width: int) -> Tensor:
    """Return the squares (B, 1, H, W) bool with top left corners (B, 2)."""
    row, column = (torch.arange(size, device=corner.device) for size in (height, width))
    top, left = corner[:, :1], corner[:, 1:]
    inside_rows = (row >= top) & (row < top + side)
    inside_columns = (column >= left) & (column < left + side)
    return inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
