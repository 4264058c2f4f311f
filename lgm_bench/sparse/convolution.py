"""Sparse convolutions: submanifold, strided, transposed; with occupancy as the leaded method has it."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from lgm_bench.errors import ConfigError
from lgm_bench.sparse.backends import Convolution, active_backend
from lgm_bench.sparse.coarsening import coarser
from lgm_bench.sparse.cost import count_products, count_voxels
from lgm_bench.sparse.kernel_map import KernelMap, kernel_offsets, map_between
from lgm_bench.sparse.keys import Triple
from lgm_bench.sparse.level import CoordinateLevel
from lgm_bench.sparse.tensor import SparseTensor


class SparseConv3d(nn.Module):
    """Convolution over occupied voxels, out(p) = o(p) * sum_k f(p + u_k) W_k (Tao et al. 2024, Eq. 24, 34).

    Stride 1 keeps the voxels (submanifold). A larger stride leads to the coarse voxels that hold the fine ones, whose
    coordinates are the multiples of the stride at or below them. Offsets u_k are ordered with x running fastest,
    centred for odd sizes and from 0 for even ones.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: A number, or one for each of x, y, z.
        stride: A number, or one for each of x, y, z.
        bias: Whether to add a bias.
        offsets_of: Size of another kernel, of as many weights, whose offsets take the place of this one's own: what
            becomes of a kernel that reuses the map of a layer before it (Cylinder3D).
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

        Args:
            x: Features (N, in_channels).

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
        count_voxels(x.level)
        _, inputs, outputs = self.weight.shape
        count_products(level.coordinates[:, 0], inputs, outputs, kernel_map.target)
        convolution = Convolution(x.level, level, kernel_map, self.offsets_of, transposed)
        features = active_backend().convolve(x.features, self.weight, convolution)
        if self.bias is not None:
            features = features + self.bias
        return SparseTensor(None, features, level=level).occupied()

    def extra_repr(self) -> str:
        _, inputs, outputs = self.weight.shape
        return f"{inputs}, {outputs}, kernel_size={self.kernel_size}, stride={self.stride}"


class SparseConvTranspose3d(SparseConv3d):
    """Transposed convolution from coarse voxels back to the finer ones: f(q) W_k is added to p = q + u_k.

    Its pairs are those of the strided convolution of the same size, the other way round.
    """

    def forward(self, x: SparseTensor, level: CoordinateLevel | None = None) -> SparseTensor:
        """Return the output on finer voxels.

        Args:
            x: Features (M, in_channels).
            level: The finer voxels; None takes those that the input's level was made from.

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


def _triple(value: int | Triple, what: str) -> Triple:
    result = tuple(value) if isinstance(value, Sequence) else (value, value, value)
    if len(result) != 3 or any(not isinstance(size, int) or size < 1 for size in result):
        raise ConfigError(f"{what} must be a positive whole number or three of them, got {value!r}")
    return result
