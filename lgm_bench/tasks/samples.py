"""What is kept of a sample beside its row: all of it before and after an attack, or what a picture shows."""

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batch import PointBatch
from lgm_bench.voxels import PointCloud
from lgm_bench.voxels.grid import Grid

MOST_POINTS = 20_000
"""Most points of an example, which is for pictures."""


class SavedImage(NamedTuple):
    """One image before and after an attack.

    Where all images of a targeted attack are kept, the first dimension of `adversarial`, `target` and
    `adversarial_prediction` is that of the targets. An example or an untargeted attack is a single attempt.

    Attributes:
        id: Of the sample.
        clean: (3, H, W) float32 in [0, 1].
        adversarial: (3, H, W) or (T, 3, H, W) float32; attacks of the protocol "official" may leave [0, 1].
        label: () int64, the true class.
        target: () or (T,) int64, the class wanted; -1 in untargeted attacks.
        clean_prediction: () int64, of the hard network before the attack.
        adversarial_prediction: () or (T,) int64, of the hard network after it.
    """

    id: str
    clean: Tensor
    adversarial: Tensor
    label: Tensor
    target: Tensor
    clean_prediction: Tensor
    adversarial_prediction: Tensor


class SavedCloud(NamedTuple):
    """One scene or shape before and after an attack; its score is that of the attack stage.

    Attributes:
        id: Of the sample.
        points: (N, 3) after the attack, metres.
        clean: (N, 3) before it.
        features: (N, F) as the victim takes them.
        labels: (N,) int64 of the points, 255 where there is none; (1,) of a shape.
        prediction: (N,) or (1,) int64, of the hard network after the attack.
        clean_prediction: The same before it.
    """

    id: str
    points: Tensor
    clean: Tensor
    features: Tensor
    labels: Tensor
    prediction: Tensor
    clean_prediction: Tensor

    @property
    def batch(self) -> PointBatch:
        """The attacked cloud with its labels, as a victim and a metric take them."""
        scene = torch.zeros(len(self.points), dtype=torch.int64)
        return PointBatch(PointCloud(self.points, self.features, scene), self.labels, [self.id])


class ExampleCloud(NamedTuple):
    """Points of a scene or shape before and after an attack, thinned out for a picture.

    Attributes:
        id: Of the sample.
        points: (K, 3) after the attack, metres.
        clean: (K, 3) before it.
        labels: (K,) int64, 255 where there is none; (1,) of a shape.
        prediction: (K,) or (1,) int64, of the hard network after the attack.
        clean_prediction: The same before it.
        vanished: (K,) bool, whether the voxel of the clean point is empty after the attack.
        appeared: (K,) bool, whether the voxel of the attacked point was empty before it.
    """

    id: str
    points: Tensor
    clean: Tensor
    labels: Tensor
    prediction: Tensor
    clean_prediction: Tensor
    vanished: Tensor
    appeared: Tensor


def example_cloud(cloud: SavedCloud, grid: Grid) -> ExampleCloud:
    """Return an example of one scene or shape on the victim's grid; the points do not depend on the attack."""
    n = len(cloud.points)
    shown = torch.arange(n)
    if n > MOST_POINTS:
        shown = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:MOST_POINTS].sort().values
    voxels = torch.cat([grid.voxels(cloud.clean), grid.voxels(cloud.points)])
    _, voxel = torch.unique(voxels, dim=0, return_inverse=True)
    before, after = voxel.split(n)
    occupied_before, occupied_after = (torch.bincount(v, minlength=int(voxel.max()) + 1) > 0 for v in (before, after))
    vanished, appeared = ~occupied_after[before], ~occupied_before[after]
    values = [cloud.points, cloud.clean, cloud.labels, cloud.prediction, cloud.clean_prediction, vanished, appeared]
    return ExampleCloud(cloud.id, *(value.cpu()[shown] if len(value) == n else value.cpu() for value in values))
