"""Strided convolution to every coarse voxel whose window holds a fine one, as spconv has it, and its inverse."""

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.sparse.coarsening import soft_or
from lgm_bench.sparse.convolution import SparseConv3d
from lgm_bench.sparse.kernel_map import KernelMap, build_map
from lgm_bench.sparse.keys import Triple, unique_keys
from lgm_bench.sparse.level import CoordinateLevel
from lgm_bench.sparse.rows import rows_of
from lgm_bench.sparse.tensor import SparseTensor


class WindowConv3d(SparseConv3d):
    """Strided convolution, out(p) = o(p) * sum_k f(p + u_k) W_k, to all multiples p of the stride that a pair reaches.

    A coarse voxel is occupied if one of its window's is: o = 1 - prod(1 - o) over the pairs (Tao et al. 2024, Eq. 36).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: A number, or one for each of x, y, z.
        stride: A number, or one for each of x, y, z.
        grid: Size of the finest grid; coarse voxels lie inside [0, grid).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | Triple, stride: int | Triple, grid: Triple
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride)
        self.grid = grid

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return the output on the coarse voxels."""
        name = ("window", tuple(self.offsets), self.stride, self.grid)
        level, kernel_map = x.level.once(name, lambda: self._coarser(x.level))
        return self._onto(level, x, kernel_map)

    def _coarser(self, fine: CoordinateLevel) -> tuple[CoordinateLevel, KernelMap]:
        a, b, c = (s * t for s, t in zip(fine.stride, self.stride, strict=True))
        coarse = CoordinateLevel(self._reached(fine, (a, b, c)), (a, b, c))
        kernel_map = build_map(fine, coarse, self.offsets)
        if fine.occupancy is not None:
            coarse.occupancy = soft_or(rows_of(fine.occupancy, kernel_map.source), kernel_map.target, len(coarse))
        coarse.finer, coarse.finer_map = fine, kernel_map
        return coarse, kernel_map

    def _reached(self, fine: CoordinateLevel, stride: Triple) -> Tensor:
        """Return the coarse voxels (M, 4) inside the grid whose windows hold a fine voxel, in ascending order."""
        cells = [-(-size // step) for size, step in zip(self.grid, stride, strict=True)]
        row, key = torch.arange(len(fine), device=fine.coordinates.device), fine.coordinates[:, 0]
        for axis in range(3):  # one axis after another, so that what does not fit is dropped early
            reached = []
            for offset in sorted({offsets[axis] for offsets in self.offsets}):
                place = fine.coordinates[row, axis + 1] - offset * fine.stride[axis]
                fits = (place % stride[axis] == 0) & (place >= 0) & (place < self.grid[axis])
                reached.append((row[fits], key[fits] * cells[axis] + place[fits] // stride[axis]))
            row, key = (torch.cat(parts) for parts in zip(*reached, strict=True))
        columns, key = [], unique_keys(key)[0]
        for axis in (2, 1, 0):
            columns.append(key % cells[axis] * stride[axis])
            key = key // cells[axis]
        return torch.stack([key, *reversed(columns)], dim=1)


class WindowInverse3d(SparseConv3d):
    """Convolution from the coarse voxels of a `WindowConv3d` back to the fine ones, over the same pairs reversed."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return the output on the fine voxels.

        Raises:
            ConfigError: The input does not come from a `WindowConv3d` with a kernel of this size.
        """
        fine, kernel_map = x.level.finer, x.level.finer_map
        if fine is None or kernel_map is None or len(kernel_map.counts) != len(self.offsets):
            raise ConfigError(f"{x!r} does not come from a strided convolution of {len(self.offsets)} offsets")
        return self._onto(fine, x, kernel_map.transposed, transposed=True)
