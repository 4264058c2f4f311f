"""Layers other than convolutions: norm, activation, concatenation, pooling and upsampling."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.sparse.groups import group_maximum, rows_of
from lgm_bench.sparse.kernel_map import kernel_offsets, map_between
from lgm_bench.sparse.level import CoordinateLevel, KeySpace, Triple, coarser
from lgm_bench.sparse.norm import normalized
from lgm_bench.sparse.tensor import SparseTensor


class SparseBatchNorm(nn.Module):
    """Batch norm `bn` over voxels, times the occupancy if there is one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x: SparseTensor, after: float = 1.0) -> SparseTensor:
        """Return normalized features on the same voxels.

        `after` is the slope below 0 of a leaky ReLU that follows; 0: a ReLU, 1: none.
        """
        return normalized(x, self.bn, after=after)


def activated(x: SparseTensor, function: Callable[[Tensor], Tensor] = torch.relu) -> SparseTensor:
    """Return `function` of the features on the same voxels."""
    return x.with_features(function(x.features))


def joined(x: SparseTensor, other: SparseTensor) -> SparseTensor:
    """Concatenate the channels of two tensors on the same voxels.

    Raises:
        ConfigError: The tensors lie on different levels.
    """
    if x.level is not other.level:
        raise ConfigError(f"only tensors on one level can be joined, got {x!r} and {other!r}")
    return x.with_features(torch.cat([x.features, other.features], dim=1))


def global_average_pool(x: SparseTensor) -> Tensor:
    """Return the mean (B, C) of the features over the voxels of each batch entry, weighted by occupancy."""
    batch = x.coordinates[:, 0]
    weight = x.features.new_ones(len(batch)) if x.occupancy is None else x.occupancy
    n = int(batch.max()) + 1
    total = weight.new_zeros(n).index_add(0, batch, weight)
    sums = x.features.new_zeros(n, x.features.shape[1]).index_add(0, batch, x.features * weight[:, None])
    return sums / total.clamp(min=torch.finfo(total.dtype).tiny)[:, None]


def max_pool(x: SparseTensor, kernel_size: Triple, stride: Triple) -> SparseTensor:
    """Return the maximum of each channel over the windows of the coarser voxels, times their occupancy.

    Windows of `kernel_size` are positioned as for a convolution.
    """
    level = coarser(x.level, stride)
    kernel_map = map_between(x.level, level, kernel_offsets(kernel_size))
    values = rows_of(_present(x), kernel_map.source)
    out = group_maximum(values, kernel_map.target, len(level))
    return SparseTensor(None, out, level=level).occupied()


def global_max_pool(x: SparseTensor) -> Tensor:
    """Return the maximum (B, C) of each channel over the voxels of each batch entry."""
    batch = x.coordinates[:, 0]
    return group_maximum(_present(x), batch, int(batch.max()) + 1)


def spread(x: SparseTensor, level: CoordinateLevel) -> SparseTensor:
    """Copy the features of coarse voxels to the voxels of a finer level, times the finer voxels' occupancy."""
    steps = level.coordinates.new_tensor([1, *x.level.stride])
    holder = level.coordinates.div(steps, rounding_mode="floor") * steps
    space = KeySpace(holder.amin(dim=0).minimum(x.level.lowest), holder.amax(dim=0).maximum(x.level.highest))
    ascending = space.keys(x.coordinates[x.level.order])
    row = x.level.order[torch.searchsorted(ascending, space.keys(holder))]
    return SparseTensor(None, rows_of(x.features, row), level=level).occupied()


def _present(x: SparseTensor) -> Tensor:
    """Return the features (N, C), interpolated by occupancy towards the lowest value of the batch entry.

    A voxel that is not occupied is then never the maximum. A product with the occupancy would make it 0, which is not
    enough because features of occupied voxels may be negative.
    """
    if x.occupancy is None:
        return x.features
    batch = x.coordinates[:, 0]
    lowest = rows_of(-group_maximum(-x.features, batch, int(batch.max()) + 1), batch)
    return lowest + (x.features - lowest) * x.occupancy[:, None]
