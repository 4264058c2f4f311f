"""Sparse convolutions with occupancy: submanifold, strided, transposed, and strided by windows as in spconv."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.sparse.backends import Convolution, active_backend
from lgm_bench.sparse.cost import count_products
from lgm_bench.sparse.groups import rows_of, soft_or
from lgm_bench.sparse.kernel_map import KernelMap, build_map, kernel_offsets, map_between
from lgm_bench.sparse.level import CoordinateLevel, Triple, coarser, unique_keys
from lgm_bench.sparse.tensor import SparseTensor


class SparseConv3d(nn.Module):
    """Convolution over occupied voxels, out(p) = o(p) * sum_k f(p + u_k) W_k (Tao et al. 2024, Eq. 24, 34).

    Stride 1 keeps the voxels (submanifold). A larger stride leads to coarse voxels: coordinates are rounded down to
    multiples of the stride. Offsets u_k are ordered with x running fastest; they are centred for odd sizes and start at
    0 for even ones.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: A number, or one for each of x, y, z.
        stride: A number, or one for each of x, y, z.
        bias: Whether to add a bias.
        offsets_of: Size of another kernel with as many weights, whose offsets to use instead. Cylinder3D does so where
            a kernel reuses the map of an earlier layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Triple,
        stride: int | Triple = 1,
        bias: bool = False,
        *,
        offsets_of: Triple | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = _triple(kernel_size, "kernel_size")
        self.stride = _triple(stride, "stride")
        self.offsets_of = offsets_of or self.kernel_size
        self.offsets = kernel_offsets(self.offsets_of)
        self.weight = nn.Parameter(torch.empty(len(self.offsets), in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        nn.init.normal_(self.weight, std=math.sqrt(2 / (in_channels * len(self.offsets))))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return the output on the voxels of the input, or on the coarser ones.

        Raises:
            ConfigError: The input has another number of channels.
        """
        level = x.level if self.stride == (1, 1, 1) else coarser(x.level, self.stride)
        return self._onto(level, x, map_between(x.level, level, self.offsets))

    def _onto(
        self, level: CoordinateLevel, x: SparseTensor, kernel_map: KernelMap, *, transposed: bool = False
    ) -> SparseTensor:
        if x.features.shape[1] != self.weight.shape[1]:
            raise ConfigError(f"the convolution takes {self.weight.shape[1]} channels, got {x.features.shape[1]}")
        _, inputs, outputs = self.weight.shape
        count_products(level.coordinates[:, 0], inputs, outputs, kernel_map.target)
        convolution = Convolution(x.level, level, kernel_map, self.offsets_of, transposed)
        features = active_backend(x.features.device.type).convolve(x.features, self.weight, convolution)
        if self.bias is not None:
            features = features + self.bias
        return SparseTensor(None, features, level=level).occupied()

    def extra_repr(self) -> str:
        _, inputs, outputs = self.weight.shape
        return f"{inputs}, {outputs}, kernel_size={self.kernel_size}, stride={self.stride}"


class SparseConvTranspose3d(SparseConv3d):
    """Transposed convolution from coarse voxels back to the finer ones: f(q) W_k is added to p = q + u_k.

    Its pairs are those of the strided convolution of the same size, reversed.
    """

    def forward(self, x: SparseTensor, level: CoordinateLevel | None = None) -> SparseTensor:
        """Return the output on the finer voxels of `level`; by default those from which the input's level was made.

        Raises:
            ConfigError: There is no such finer level, or the strides do not fit.
        """
        fine = x.level.finer if level is None else level
        if fine is None:
            raise ConfigError("a transposed convolution needs the finer voxels; pass the level of the skip connection")
        expected = tuple(s * t for s, t in zip(fine.stride, self.stride, strict=True))
        if expected != x.level.stride:
            raise ConfigError(f"stride {self.stride} leads from {x.level.stride} to no level of stride {fine.stride}")
        return self._onto(fine, x, map_between(fine, x.level, self.offsets).transposed, transposed=True)


class WindowConv3d(SparseConv3d):
    """Strided convolution to every voxel p whose window contains a fine voxel, as in spconv.

    out(p) = o(p) * sum_k f(p + u_k) W_k. A coarse voxel is occupied if any voxel in its window is: o = 1 - prod(1 - o)
    over the pairs (Tao et al. 2024, Eq. 36).

    Args:
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
        """Return the coarse voxels (M, 4) in the grid whose windows contain a fine voxel, in ascending order."""
        cells = [-(-size // step) for size, step in zip(self.grid, stride, strict=True)]
        row, key = torch.arange(len(fine), device=fine.coordinates.device), fine.coordinates[:, 0]
        for axis in range(3):  # axis by axis, so that voxels that do not fit are dropped early
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
    """Convolution from the coarse voxels of a `WindowConv3d` back to the fine ones, over the reversed pairs."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return the output on the fine voxels.

        Raises:
            ConfigError: The input does not come from a `WindowConv3d` with a kernel of this size.
        """
        fine, kernel_map = x.level.finer, x.level.finer_map
        if fine is None or kernel_map is None or len(kernel_map.counts) != len(self.offsets):
            raise ConfigError(f"{x!r} does not come from a strided convolution of {len(self.offsets)} offsets")
        return self._onto(fine, x, kernel_map.transposed, transposed=True)


def _triple(value: int | Triple, what: str) -> Triple:
    result = tuple(value) if isinstance(value, Sequence) else (value, value, value)
    if len(result) != 3 or any(not isinstance(size, int) or size < 1 for size in result):
        raise ConfigError(f"{what} must be a positive whole number or three of them, got {value!r}")
    return result
