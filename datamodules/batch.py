"""The batches that datamodules yield and attacks take."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.voxels import IGNORED, PointCloud

__all__ = ["IGNORED", "ImageBatch", "PointBatch", "inputs_of", "part"]


class ImageBatch(NamedTuple):
    """Images with labels.

    Attributes:
        images: (B, 3, H, W) float in [0, 1].
        labels: (B,) int64 class indices.
        ids: B stable sample ids, unique in the data set.
    """

    images: Tensor
    labels: Tensor
    ids: list[str]


class PointBatch(NamedTuple):
    """Point clouds with labels.

    Attributes:
        cloud: The points of B scenes or shapes.
        labels: (N,) int64 class indices of the points, `IGNORED` where there is none (segmentation); (B,) int64 class
            indices of the shapes (classification).
        ids: B stable sample ids, unique in the data set.
    """

    cloud: PointCloud
    labels: Tensor
    ids: list[str]


def inputs_of(batch: ImageBatch | PointBatch) -> Tensor | PointCloud:
    """Return what a victim takes of a batch: the images, or the points."""
    return batch.images if isinstance(batch, ImageBatch) else batch.cloud


def part(batch: ImageBatch | PointBatch, chosen: Sequence[int]) -> ImageBatch | PointBatch:
    """Return some samples of a batch.

    Args:
        batch: B samples.
        chosen: Which of them, in ascending order.
    """
    ids = [batch.ids[sample] for sample in chosen]
    samples = batch.labels.new_tensor(list(chosen))
    if isinstance(batch, ImageBatch):
        return ImageBatch(batch.images[samples], batch.labels[samples], ids)
    cloud = batch.cloud
    place = torch.full((cloud.n_scenes,), -1, device=cloud.scene.device)
    place[samples] = torch.arange(len(samples), device=place.device)
    rows = place[cloud.scene] >= 0
    labels = batch.labels[samples] if len(batch.labels) == cloud.n_scenes else batch.labels[rows]
    return PointBatch(PointCloud(cloud.points[rows], cloud.features[rows], place[cloud.scene[rows]]), labels, ids)
