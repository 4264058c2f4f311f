"""What a benchmark measures besides accuracy."""

from lgm_bench.metrics.architecture_change import ArchitectureChange, ChangeCounts, change_counts
from lgm_bench.metrics.segmentation import MeanIoU, class_ious, confusion_matrix, mean_iou
from lgm_bench.metrics.voxel_change import VoxelChange, voxel_change

__all__ = [
    "ArchitectureChange",
    "ChangeCounts",
    "MeanIoU",
    "VoxelChange",
    "change_counts",
    "class_ious",
    "confusion_matrix",
    "mean_iou",
    "voxel_change",
]
