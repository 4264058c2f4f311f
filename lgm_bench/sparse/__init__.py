"""Sparse convolution with an occupancy for each voxel."""

from lgm_bench.sparse.convolution import SparseConv3d, SparseConvTranspose3d, WindowConv3d, WindowInverse3d
from lgm_bench.sparse.layers import SparseBatchNorm, activated, global_average_pool, joined
from lgm_bench.sparse.level import CoordinateLevel
from lgm_bench.sparse.tensor import SparseTensor

__all__ = [
    "CoordinateLevel",
    "SparseBatchNorm",
    "SparseConv3d",
    "SparseConvTranspose3d",
    "SparseTensor",
    "WindowConv3d",
    "WindowInverse3d",
    "activated",
    "global_average_pool",
    "joined",
]
