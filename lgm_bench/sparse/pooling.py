"""Maxima over windows and scenes, and the way from coarse voxels down to those inside them."""

import torch
from torch import Tensor

from lgm_bench.sparse.coarsening import coarser
from lgm_bench.sparse.kernel_map import kernel_offsets, map_between
from lgm_bench.sparse.keys import KeySpace, Triple
from lgm_bench.sparse.level import CoordinateLevel
from lgm_bench.sparse.maximum import group_maximum
from lgm_bench.sparse.rows import rows_of
from lgm_bench.sparse.tensor import SparseTensor


def max_pool(x: SparseTensor, kernel_size: Triple, stride: Triple) -> SparseTensor:
    """Return the maximum of each channel over the windows of the coarser voxels, times their occupancy.

    Args:
        x: Features (N, C).
        kernel_size: Size of a window along x, y, z, placed as a convolution's.
        stride: Coarse over fine stride.
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
    """Return on each voxel of a finer level the features of the coarse voxel that holds it, times its occupancy."""
    steps = level.coordinates.new_tensor([1, *x.level.stride])
    holder = level.coordinates.div(steps, rounding_mode="floor") * steps
    space = KeySpace(holder.amin(dim=0).minimum(x.level.lowest), holder.amax(dim=0).maximum(x.level.highest))
    ascending = space.keys(x.coordinates[x.level.order])
    row = x.level.order[torch.searchsorted(ascending, space.keys(holder))]
    return SparseTensor(None, rows_of(x.features, row), level=level).occupied()


def _present(x: SparseTensor) -> Tensor:
    """Return the features (N, C); a voxel counts the less the less it is there, and one that is not never wins.

    An absent voxel would be 0 after the product with its occupancy, which is more than what is there may be; it is the
    lowest value of its batch entry instead.
    """
    if x.occupancy is None:
        return x.features
    batch = x.coordinates[:, 0]
    lowest = rows_of(-group_maximum(-x.features, batch, int(batch.max()) + 1), batch)
    return lowest + (x.features - lowest) * x.occupancy[:, None]
