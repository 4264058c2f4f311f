"""Small clouds of voxels and their dense counterparts."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from lgm_bench.sparse import compiled


@contextmanager
def plain_pytorch() -> Iterator[None]:
    """Do without the compiled library inside, as on a machine without a compiler."""
    with patch.object(compiled, "library", lambda: None):
        yield


def cloud(n: int = 40, side: int = 5, batches: int = 2, seed: int = 0) -> Tensor:
    """Return (N, 4) int64 unique voxels in random order, with coordinates on both sides of 0."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.cartesian_prod(torch.arange(batches), *[torch.arange(side) - side // 2] * 3)
    return cells[torch.randperm(len(cells), generator=generator)[:n]]


def dense(coordinates: Tensor, features: Tensor, low: int, side: int) -> Tensor:
    """Return features (N, C) on a grid (B, C, X, Y, Z) that begins at `low`; differentiable."""
    batches = int(coordinates[:, 0].max()) + 1
    grid = features.new_zeros(batches, side, side, side, features.shape[1])
    b, x, y, z = coordinates.T
    return grid.index_put((b, x - low, y - low, z - low), features).permute(0, 4, 1, 2, 3)


def at(grid: Tensor, coordinates: Tensor, low: int) -> Tensor:
    """Return the features (N, C) of a grid (B, C, X, Y, Z) at voxels."""
    b, x, y, z = coordinates.T
    return grid.permute(0, 2, 3, 4, 1)[b, x - low, y - low, z - low]


def dense_kernel(weight: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Return (K, C_in, C_out), x running fastest, as conv3d's (C_out, C_in, X, Y, Z)."""
    x, y, z = size
    return weight.view(z, y, x, *weight.shape[1:]).permute(4, 3, 2, 1, 0)
