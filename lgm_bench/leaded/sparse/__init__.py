"""Sparse convolution whose coordinate levels carry occupancy."""

from lgm_bench.leaded.sparse.convolution import SparseConv3d, SparseConvTranspose3d
from lgm_bench.leaded.sparse.layers import SparseBatchNorm, activated, global_average_pool, joined
from lgm_bench.leaded.sparse.level import CoordinateLevel
from lgm_bench.leaded.sparse.tensor import SparseTensor
from lgm_bench.leaded.sparse.window import WindowConv3d, WindowInverse3d

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
