"""The leaded gradient method: occupancy, gradient methods, leaded voxels, recording."""

from lgm_bench.leaded.gradient import FGM, LGM, GradientMethod
from lgm_bench.leaded.neighbours import Reach
from lgm_bench.leaded.occupancy import Occupancy
from lgm_bench.leaded.point_cloud import IGNORED, PointCloud
from lgm_bench.leaded.recording import architecture, hard_forward, recorded_calls
from lgm_bench.leaded.relation import VoxelSlopes
from lgm_bench.leaded.wrapper import Leaded

__all__ = [
    "FGM",
    "IGNORED",
    "LGM",
    "GradientMethod",
    "Leaded",
    "Occupancy",
    "PointCloud",
    "Reach",
    "VoxelSlopes",
    "architecture",
    "hard_forward",
    "recorded_calls",
]
