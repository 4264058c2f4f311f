"""Square Attack (Andriushchenko et al. 2020), L-infinity: random search with scores only."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.attacks.budgets import Box
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.survivors import Survivors
from lgm_bench.losses import margin

SHARE = 0.8
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def square_side(query: int, height: int, width: int) -> int:
    """Return the side, in pixels, of the square that a query changes; its area is halved in stages.

    >>> [square_side(query, 32, 32) for query in (0, 11, 51, 5000)]
    [29, 20, 14, 3]
    """
    share = SHARE / 2 ** sum(query > bound for bound in HALVED_AFTER)
    return min(max(round(math.sqrt(share * height * width)), 1), height, width)


def useful_corners(mask: Tensor, side: int) -> Tensor:
    """Return the top left corners (K, 2) of all squares that contain at least one pixel of a mask (H, W) bool."""
    return F.max_pool2d(mask[None].float(), side, stride=1)[0].nonzero()


def square(
    problem: Problem, box: Box, generators: Sequence[torch.Generator], queries: int, tick: Callable[[], None]
) -> Tensor:
    """Return images (B, C, H, W): the first that fool the hard network, or those with the lowest margin.

    The attack uses only scores of the hard network, so every gradient method gives the same result. With a mask, it
    draws squares that touch the mask. Each sample has its own random places.

    Args:
        problem: Samples to attack.
        box: Allowed intensities.
        generators: One CPU generator per sample.
        queries: Number of proposals per sample; `tick` is called after each.
    """
    channels, height, width = problem.clean.shape[1:]
    stripes, places, signs = _draws(generators, queries, channels, width, problem.clean.device)
    best = torch.where(stripes, box.upper, box.lower)
    lead, fallen = _lead(problem, best)
    state = {"best": best, "lead": lead, "places": places, "signs": signs, "lower": box.lower, "upper": box.upper}
    rest = Survivors(problem, best, state)
    side = 0
    for query in range(queries):
        rest.keep(rest.state["best"], fallen)
        rest.drop(fallen)
        if not len(rest):
            return rest.result
        state = rest.state
        if side != square_side(query, height, width):
            side = square_side(query, height, width)
            corners = useful_corners(box.allowed[0, 0], side)
        corner = corners[(state["places"][:, query] * len(corners)).long().clamp(max=len(corners) - 1)]
        window = _windows(corner, side, height, width)
        colour = torch.where(state["signs"][:, query, :, None, None], state["upper"], state["lower"])
        proposal = torch.where(window, colour, state["best"])
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
    generators: Sequence[torch.Generator], queries: int, channels: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return stripes (B, C, 1, W) bool, places (B, queries) float64 in [0, 1), signs (B, queries, C) bool."""
    draws = [
        (
            torch.rand(channels, 1, width, generator=generator) < 0.5,
            torch.rand(queries, generator=generator, dtype=torch.float64),
            torch.rand(queries, channels, generator=generator) < 0.5,
        )
        for generator in generators
    ]
    stripes, places, signs = (torch.stack(parts).to(device) for parts in zip(*draws, strict=True))
    return stripes, places, signs


def _windows(corner: Tensor, side: int, height: int, width: int) -> Tensor:
    """Return the squares (B, 1, H, W) bool with top left corners (B, 2)."""
    row, column = (torch.arange(size, device=corner.device) for size in (height, width))
    top, left = corner[:, :1], corner[:, 1:]
    inside_rows = (row >= top) & (row < top + side)
    inside_columns = (column >= left) & (column < left + side)
    return inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
