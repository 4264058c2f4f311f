"""Samples that are kept beside their rows: whole before and after an attack, or thinned out for a picture."""

from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.voxels.grid import Grid

MOST_POINTS = 20_000
"""Most points of an example."""


class GateRecord(NamedTuple):
    """What one use of a gate decided for one image.

    Attributes:
        attempt: () int64, 0 for the clean image and 1, 2, ... for the attempts on it.
        name: Name of the unit, see `Call.name`.
        chooses: See `Gate.chooses`.
        occupancy: (...) bool, what is on in the hard network.
        score: (...) float32, the scores of a gate that chooses one; without elements for other gates.
        threshold: The value that each score must exceed, of the same shape.
    """

    attempt: Tensor
    name: str
    chooses: str
    occupancy: Tensor
    score: Tensor
    threshold: Tensor


class SavedImage(NamedTuple):
    """One image before and after an attack.

    If all images of a targeted attack are kept, `adversarial`, `target` and `adversarial_prediction` have the targets
    as their first dimension. An example and an untargeted attack have a single attempt.

    Attributes:
        id: Id of the sample.
        clean: (3, H, W) float32 in [0, 1].
        adversarial: (3, H, W) or (T, 3, H, W) float32; attacks of the protocol "official" may leave [0, 1].
        label: () int64, the true class.
        target: () or (T,) int64, the target class; -1 in untargeted attacks.
        clean_prediction: () int64, of the hard network before the attack.
        adversarial_prediction: () or (T,) int64, of the hard network after it.
        gates: What each gate decided before and after the attack, in call order.
    """

    id: str
    clean: Tensor
    adversarial: Tensor
    label: Tensor
    target: Tensor
    clean_prediction: Tensor
    adversarial_prediction: Tensor
    gates: tuple[GateRecord, ...] = ()


class SavedCloud(NamedTuple):
    """One scene or shape before and after an attack.

    Attributes:
        id: Id of the sample.
        points: (N, 3) after the attack, metres.
        clean: (N, 3) before the attack.
        features: (N, F) as the victim takes them.
        labels: (N,) int64 of the points, 255 for unlabelled ones; (1,) of a shape.
        prediction: (N,) or (1,) int64, of the hard network after the attack.
        clean_prediction: The same before the attack.
    """

    id: str
    points: Tensor
    clean: Tensor
    features: Tensor
    labels: Tensor
    prediction: Tensor
    clean_prediction: Tensor


class ExampleCloud(NamedTuple):
    """K points of a `SavedCloud`, thinned out for a picture.

    Attributes:
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
    """Return an example of one scene or shape on the victim's grid; every attack shows the same points."""
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
