"""Point clouds before and after an attack, thinned out to what a picture shows."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.evaluation.store.arrays import read_sample, write_sample
from lgm_bench.evaluation.store.clouds import SavedCloud
from lgm_bench.voxels.grid import Grid

MOST_POINTS = 20_000


class ExampleCloud(NamedTuple):
    """Points of a scene or shape, before and after an attack. In the .npz, arrays of these names.

    Attributes:
        id: Of the sample.
        points: (K, 3) after the attack, metres.
        clean: (K, 3) before it.
        labels: (K,) int64, 255 where there is none; (1,) of a shape.
        prediction: (K,) or (1,) int64, of the hard network after the attack.
        clean_prediction: The same before it.
        vanished: (K,) bool, whether the voxel that the clean point lay in is empty after the attack.
        appeared: (K,) bool, whether the voxel that the attacked point lies in was empty before it.
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
    """Return an example of one scene or shape; of many points the same few whatever the attack.

    Args:
        cloud: All of it.
        grid: The victim's voxels.
    """
    n = len(cloud.points)
    shown = torch.arange(n)
    if n > MOST_POINTS:
        shown = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:MOST_POINTS].sort().values
    vanished, appeared = _changed(grid.voxels(cloud.clean), grid.voxels(cloud.points))
    values = [cloud.points, cloud.clean, cloud.labels, cloud.prediction, cloud.clean_prediction, vanished, appeared]
    return ExampleCloud(cloud.id, *(value.cpu()[shown] if len(value) == n else value.cpu() for value in values))


def save_example_cloud(folder: Path, cloud: ExampleCloud) -> None:
    """Write an example into a folder, which exists, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_sample(folder, cloud)


def load_example_cloud(path: Path) -> ExampleCloud:
    """Return an example that was saved.

    Raises:
        ResultError: The file is missing, damaged or holds something else.
    """
    return read_sample(path, ExampleCloud, "example of a cloud")


def _changed(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Return of which points (N,) bool the voxel of before is empty after, and that of after was empty before."""
    _, voxel = torch.unique(torch.cat([before, after]), dim=0, return_inverse=True)
    old, new = voxel.split(len(before))
    was, is_now = (torch.bincount(which, minlength=int(voxel.max()) + 1) > 0 for which in (old, new))
    return ~is_now[old], ~was[new]
