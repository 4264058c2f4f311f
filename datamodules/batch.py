"""The batches that datamodules yield and attacks take."""

from typing import NamedTuple

from torch import Tensor

from lgm_bench.voxels import IGNORED, PointCloud

__all__ = ["IGNORED", "ImageBatch", "PointBatch"]


class ImageBatch(NamedTuple):
    """Images with labels.

    Attributes:
        images: (B, C, H, W) float in [0, 1].
        labels: (B,) int64 class indices.
        ids: B sample ids, stable and unique in the data set.
    """

    images: Tensor
    labels: Tensor
    ids: list[str]


class PointBatch(NamedTuple):
    """Point clouds with labels.

    Attributes:
        cloud: The points of B scenes or shapes.
        labels: (N,) int64 class index of each point, `IGNORED` for unlabelled points (segmentation); or (B,) int64
            class index of each shape (classification).
        ids: B sample ids, stable and unique in the data set.
    """

    cloud: PointCloud
    labels: Tensor
    ids: list[str]
