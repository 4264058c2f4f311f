"""Voxels of point clouds: grids, relations of points and voxels, and the way between them."""

from lgm_bench.voxels.neighbours import Reach
from lgm_bench.voxels.point_cloud import IGNORED, PointCloud
from lgm_bench.voxels.relation import VoxelSlopes

__all__ = ["IGNORED", "PointCloud", "Reach", "VoxelSlopes"]
