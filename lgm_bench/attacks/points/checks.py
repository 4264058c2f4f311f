"""Checks of what users hand to an attack on point clouds."""

from typing import Any

import torch
from torch import Tensor

from datamodules.batch import PointBatch
from lgm_bench.attacks.checks import check_victim
from lgm_bench.errors import ConfigError
from lgm_bench.voxels import IGNORED, PointCloud

PROTOCOLS = ("official", "paper")


def check_point_victim(victim: Any, loss: str) -> None:
    """Check that `victim` takes point clouds and can be attacked now.

    Raises:
        ConfigError: It is no point victim, is in training mode, or `loss` does not fit its task.
    """
    missing = [name for name in ("task", "scored", "voxelization") if not hasattr(victim, name)]
    if missing:
        raise ConfigError(
            f"{type(victim).__name__} is no victim of point clouds (it has no {missing[0]!r}); "
            "derive it from victims.point_victim.PointVictim, or take an attack on images"
        )
    check_victim(victim)
    if loss == "lovasz" and victim.task != "segmentation":
        raise ConfigError(f"loss 'lovasz' is of segmentation, {type(victim).__name__} does {victim.task}")


def check_point_batch(batch: PointBatch, task: str, ignored_classes: tuple[int, ...]) -> None:
    """Check a cloud, its labels and its ids.

    Raises:
        ConfigError: A shape, a type or a value is wrong.
    """
    cloud, labels, ids = batch
    _check_cloud(cloud)
    if len(ids) != cloud.n_scenes:
        raise ConfigError(f"{cloud.n_scenes} scenes have {len(ids)} ids; every scene needs one")
    _check_finite(cloud, ids)
    expected = len(cloud.points) if task == "segmentation" else len(ids)
    if labels.dtype != torch.int64 or labels.shape != (expected,):
        unit = "point" if task == "segmentation" else "shape"
        raise ConfigError(
            f"labels must be int64 of shape ({expected},), one a {unit}, got {labels.dtype} {tuple(labels.shape)}"
        )
    if int(labels.min()) < 0:
        raise ConfigError(f"labels must be at least 0, got {int(labels.min())}")
    _check_labelled(cloud, labels, ids, task, ignored_classes)


def _check_cloud(cloud: PointCloud) -> None:
    points, features, scene = cloud
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or not points.is_floating_point():
        raise ConfigError(f"points must be floating point of shape (N, 3), got {points.dtype} {tuple(points.shape)}")
    if features.ndim != 2 or len(features) != len(points) or not features.is_floating_point():
        raise ConfigError(
            f"features must be floating point of shape ({len(points)}, F), got {features.dtype} {tuple(features.shape)}"
        )
    if scene.shape != (len(points),) or scene.dtype != torch.int64:
        raise ConfigError(f"scene must be int64 of shape ({len(points)},), got {scene.dtype} {tuple(scene.shape)}")
    if int(scene[0]) != 0 or not bool(((scene.diff() == 0) | (scene.diff() == 1)).all()):
        raise ConfigError("scene must count the scenes from 0 in ascending order and leave none out")


def _check_finite(cloud: PointCloud, ids: list[str]) -> None:
    for name, values in (("points", cloud.points), ("features", cloud.features)):
        finite = values.isfinite().all(dim=1)
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0])
            raise ConfigError(
                f"{name} must be finite, got {values[row].tolist()} in row {row} (scene {ids[int(cloud.scene[row])]!r})"
            )


def _check_labelled(
    cloud: PointCloud, labels: Tensor, ids: list[str], task: str, ignored_classes: tuple[int, ...]
) -> None:
    counted = labels != IGNORED
    for number in ignored_classes:
        counted &= labels != number
    scene = cloud.scene if task == "segmentation" else torch.arange(len(ids), device=labels.device)
    n_counted = torch.bincount(scene[counted.to(scene.device)], minlength=len(ids))
    if bool((n_counted == 0).any()):
        name = ids[int((n_counted == 0).nonzero()[0])]
        raise ConfigError(f"every label of {name!r} is ignored: there is nothing to attack; leave it out")
