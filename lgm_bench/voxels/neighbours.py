"""Pairs of points and the voxels in which they may lie after the next step."""

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.voxels.grid import Grid, Triple

#: The voxel itself first, then its 26 neighbours.
DIRECTIONS: list[Triple] = [(0, 0, 0), *((x, y, z) for x, y, z in product((-1, 0, 1), repeat=3) if x or y or z)]


class Reach(NamedTuple):
    """How far an attack can move points.

    Attributes:
        clean: (N, 3) points before the attack, metres.
        step: Largest move along an axis at the next step, metres.
        eps: Half-width of the cube around each clean point, metres.
    """

    clean: Tensor
    step: float
    eps: float


def own_pairs(grid: Grid, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return each point (N,) with its voxel (N, 3)."""
    return torch.arange(len(points), device=points.device), grid.voxels(points)


def neighbour_pairs(grid: Grid, points: Tensor, reach: Reach | None) -> tuple[Tensor, Tensor]:
    """Return the pairs (x, p) with p in N(x) (Tao et al. 2024, Eq. 31): points (P,) int64 and voxels (P, 3) int64.

    N(x) is the voxel of the point, and those of its 26 neighbours that one step along each axis can reach and that
    touch the cube in which the point must stay. Pairs of points with their own voxels come first. Cells of a
    `CylindricalGrid` do not wrap around in phi.

    Args:
        grid: The voxels.
        points: (N, 3) metres.
        reach: How far the points can move; None: to all neighbours.
    """
    points = points.detach()
    own = grid.voxels(points)
    possible = reachable(grid, points, own, reach)
    directions = own.new_tensor(DIRECTIONS)
    axes = torch.arange(3, device=own.device)
    pairs = possible[:, axes, directions + 1].all(dim=2)  # (N, 27)
    direction, point = pairs.T.nonzero(as_tuple=True)
    return point, own[point] + directions[direction]


def reachable(grid: Grid, points: Tensor, own: Tensor, reach: Reach | None) -> Tensor:
    """Return (N, 3, 3) bool: per axis, whether the point can reach the previous, its own and the next voxel."""
    before, behind = torch.ones_like(own, dtype=torch.bool), torch.ones_like(own, dtype=torch.bool)
    if reach is not None:
        place, move = grid.places(points), grid.moves(points, reach.step)
        clean, budget = grid.places(reach.clean), grid.moves(reach.clean, reach.eps)
        before = (place - move < own) & (clean - budget < own)
        behind = (place + move >= own + 1) & (clean + budget >= own + 1)
    if grid.size is not None:
        before &= own > 0
        behind &= own < own.new_tensor(grid.size) - 1
    return torch.stack([before, torch.ones_like(before), behind], dim=2)
