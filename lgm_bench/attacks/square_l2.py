"""The changes that Square tries within an L2 ball (Andriushchenko et al. 2020, Sec. 3.4)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.attacks.budgets import norm

TILES = 5
"""Tiles along the shorter side of an image, with which the search starts."""
TINY = 1e-30
"""Least divisor, so that 0 stays 0."""


def two_hills(side: int) -> Tensor:
    """Return the pattern (side, side) of a square, float64 of norm 1: a hill in its upper half, a valley in the lower.

    A hill's height at distance d from its centre, along the farther axis, is the sum of 1 / j^2 for
    j = d + 1, ..., side // 2 + 1.
    """
    heights = torch.arange(side // 2 + 1, 0, -1, dtype=torch.float64).pow(-2).cumsum(0).flip(0)
    halves = []
    for rows in (side // 2, side - side // 2):
        down, across = (torch.arange(size) - size // 2 for size in (rows, side))
        halves.append(heights[torch.maximum(down.abs()[:, None], across.abs())])
    pattern = torch.cat([halves[0], -halves[1]])
    return pattern / norm(pattern[None])[0]


def tiled(channels: int, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random change (C, H, W) of norm 1 in the pixels of a mask (H, W) bool.

    It is a grid of tiles in the middle of the image. Each has the pattern of `two_hills`, upright or turned, with a
    sign for each channel. If the mask touches no tile, nothing changes.
    """
    height, width = mask.shape
    side = max(min(height, width) // TILES, 1)
    rows, columns = height // side, width // side
    signs = random_signs((channels, rows, columns, 1, 1), generator)
    turned = torch.rand(rows, columns, 1, 1, generator=generator) < 0.5
    pattern = two_hills(side)
    tiles = signs * torch.where(turned, pattern.T, pattern)
    grid = tiles.transpose(2, 3).reshape(channels, rows * side, columns * side)
    down, across = height - rows * side, width - columns * side
    change = F.pad(grid, (across // 2, across - across // 2, down // 2, down - down // 2)) * mask
    return change / norm(change[None])[0].clamp(min=TINY)


def random_signs(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return -1 or 1 at random, int8."""
    return 2 * (torch.rand(shape, generator=generator) < 0.5).to(torch.int8) - 1


def placed(pattern: Tensor, turned: Tensor, corner: Tensor, height: int, width: int) -> Tensor:
    """Return images (B, 1, H, W) that are 0 but for a pattern (S, S), or its transpose where `turned` (B,) is True.

    Args:
        pattern: What to place.
        turned: Whether to transpose it.
        corner: Row and column of its top left pixel, (B, 2) int64.
        height: H.
        width: W.
    """
    side, sample = len(pattern), torch.arange(len(corner), device=corner.device)[:, None, None]
    patterns = F.pad(torch.where(turned[:, None, None], pattern.T, pattern), (1, 1, 1, 1))  # 0 around it
    row, column = (
        (torch.arange(size, device=corner.device) - corner[:, axis, None]).clamp(-1, side) + 1
        for axis, size in enumerate((height, width))
    )
    return patterns[sample, row[:, :, None], column[:, None, :]][:, None]


def moved(change: Tensor, eps: float, first: Tensor, second: Tensor, pattern: Tensor) -> Tensor:
    """Return a change (B, C, H, W) of norm eps after a move of what lies in the second square to the first (Alg. 3).

    In each channel, the first square gets the direction of its own change plus the pattern. Its norm is that of both
    squares before, and what the whole change lacks to eps is shared by the channels. The second square, where it is
    outside the first, becomes 0.

    AutoAttack's code differs: each channel gets the norm that both squares have in all channels together, and then the
    whole change is scaled to eps.

    Args:
        change: The change so far, of norm eps or less.
        eps: Radius of the ball.
        first: Square that gets the change, (B, 1, H, W) bool.
        second: Square that loses it, (B, 1, H, W) bool.
        pattern: What to add, (B, C, H, W), 0 outside the first square.
    """
    spare = (eps**2 - norm(change).square()).clamp(min=0) / change.shape[1]
    held = _sizes(change * (first | second)).square()
    towards = _unit(_unit(pattern) + _unit(change * first))
    return torch.where(first, towards * (held + spare).sqrt(), torch.where(second, 0, change))


def _sizes(values: Tensor) -> Tensor:
    """Return the L2 norm of each channel of (B, C, H, W), as (B, C, 1, 1)."""
    sizes: Tensor = torch.linalg.vector_norm(values, dim=(2, 3), keepdim=True)
    return sizes


def _unit(values: Tensor) -> Tensor:
    """Return the values with norm 1 in each channel; 0 where they are 0."""
    return values / _sizes(values).clamp(min=TINY)
