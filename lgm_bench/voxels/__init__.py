"""Voxels of point clouds: grids, relations between points and voxels, and conversions in both directions."""

from lgm_bench.voxels.neighbours import Reach
from lgm_bench.voxels.point_cloud import IGNORED, PointCloud
from lgm_bench.voxels.relation import VoxelSlopes

__all__ = ["IGNORED", "PointCloud", "Reach", "VoxelSlopes"]
