"""Checks of what users and victims hand to an adapter; each raises a ConfigError that says what was expected."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.voxels import PointCloud


def usable(values: Tensor) -> Tensor:
    """Return a tensor without graph, and a copy where it was made in inference mode: autograd cannot save that one."""
    return values.clone() if values.is_inference() else values.detach()


def check_output(output: Any) -> None:
    """Raise ConfigError where a victim's output is not a tensor, such as a tuple of several outputs."""
    if not isinstance(output, Tensor):
        raise ConfigError(
            f"the victim returned a {type(output).__name__}, expected one tensor of logits (B, classes); wrap it in a "
            "module that returns the logits only"
        )


def check_precision(victim: Any, *inputs: Tensor) -> None:
    """Raise ConfigError where inputs have another floating point type than the victim's weights."""
    weights = next((weight.dtype for weight in victim.parameters() if weight.is_floating_point()), inputs[0].dtype)
    wrong = next((values.dtype for values in inputs if values.dtype != weights), None)
    if wrong is not None:
        raise ConfigError(
            f"the inputs are {wrong} and the victim's weights are {weights}; convert the inputs (such as "
            "images.float()), or the victim (such as victim.double())"
        )


def check_finite(inputs: Tensor, ids: Sequence[str], sample: str) -> None:
    """Raise ConfigError where inputs (B, ...) have values that are NaN or infinite."""
    bad = (~inputs.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
    if bad:
        raise ConfigError(
            f"{len(bad)} of {len(ids)} {sample}s have values that are NaN or infinite (first: {ids[bad[0]]!r}); "
            "check the data or the code that reads it"
        )


def check_finite_logits(logits: Tensor, ids: Sequence[str]) -> None:
    """Raise ConfigError where logits (B, C) are NaN, which allow no verdict."""
    bad = logits.isnan().flatten(1).any(dim=1).tolist()
    if any(bad):
        first = next(name for name, is_bad in zip(ids, bad, strict=True) if is_bad)
        raise ConfigError(
            f"the victim's logits of {sum(bad)} samples are not numbers (first: {first!r}), although the samples are; "
            "check the victim's weights"
        )


def check_classes(name: str, classes: Tensor, count: int, sample: str) -> None:
    """Raise ConfigError where class indices, one for each of `count` samples, have a wrong type, number or value."""
    if classes.dtype != torch.int64 or classes.shape != (count,):
        raise ConfigError(
            f"{name} must be whole numbers of shape ({count},), one for each {sample}, got {classes.dtype} "
            f"{tuple(classes.shape)}"
        )
    if int(classes.min()) < 0:
        raise ConfigError(f"{name} must be at least 0, got {int(classes.min())}")


def check_verdict(logits: Tensor, name: str) -> None:
    """Raise ConfigError where the logits of the scene or shapes of that name are not finite."""
    if not bool(logits.isfinite().all()):
        raise ConfigError(
            f"the victim's logits of {name!r} are not finite, although its points are; check the victim's weights"
        )


def check_cloud(cloud: PointCloud) -> None:
    """Raise ConfigError where points, features or scene have a wrong shape or type."""
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


def check_finite_cloud(cloud: PointCloud, ids: Sequence[str]) -> None:
    """Raise ConfigError where points or features are not finite."""
    for name, values in (("points", cloud.points), ("features", cloud.features)):
        finite = values.isfinite().all(dim=1)
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0])
            raise ConfigError(
                f"{name} must be finite, got {values[row].tolist()} in row {row} (scene {ids[int(cloud.scene[row])]!r})"
            )
