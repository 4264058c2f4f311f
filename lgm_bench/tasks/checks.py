"""Checks of inputs, labels and outputs; each raises a ConfigError that says what was expected."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from lgm_bench.errors import ConfigError
from lgm_bench.voxels import PointCloud

_LARGEST = WeakTensorKeyDictionary()  # by tensor, see `largest_class`


def usable(values: Tensor) -> Tensor:
    """Return a tensor without graph; a copy if it comes from inference mode, since autograd cannot save those."""
    return values.clone() if values.is_inference() else values.detach()


def check_output(output: Any) -> None:
    """Raise ConfigError if a victim's output is not a tensor but, for example, a tuple of several outputs."""
    if not isinstance(output, Tensor):
        raise ConfigError(
            f"the victim returned a {type(output).__name__}, expected one tensor of logits (B, classes); wrap it in a "
            "module that returns the logits only"
        )


def check_precision(victim: Any, *inputs: Tensor) -> None:
    """Raise ConfigError if inputs and the victim's weights differ in their floating point type."""
    weights = next((weight.dtype for weight in victim.parameters() if weight.is_floating_point()), inputs[0].dtype)
    wrong = next((values.dtype for values in inputs if values.dtype != weights), None)
    if wrong is not None:
        raise ConfigError(
            f"the inputs are {wrong} and the victim's weights are {weights}; convert the inputs (such as "
            "images.float()), or the victim (such as victim.double())"
        )


def check_finite(inputs: Tensor, ids: Sequence[str], sample: str) -> None:
    """Raise ConfigError if inputs (B, ...) have values that are NaN or infinite."""
    bad = (~inputs.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
    if bad:
        raise ConfigError(
            f"{len(bad)} of {len(ids)} {sample}s have values that are NaN or infinite (first: {ids[bad[0]]!r}); "
            "check the data or the code that reads it"
        )


def check_logits_finite(logits: Tensor, ids: Sequence[str]) -> None:
    """Raise ConfigError if logits (B, ...) are NaN or infinite, which allows no verdict; -inf may rule a class out."""
    bad = (~(logits < torch.inf)).flatten(1).any(dim=1).tolist()
    if any(bad):
        first = ids[bad.index(True)]
        raise ConfigError(
            f"the victim's logits of {sum(bad)} samples are not finite (first: {first!r}), although the samples are; "
            "check the victim's weights"
        )


def check_classes(name: str, classes: Tensor, count: int, sample: str) -> None:
    """Raise ConfigError if the class indices of `count` samples have a wrong type, number or value."""
    if classes.dtype != torch.int64 or classes.shape != (count,):
        raise ConfigError(
            f"{name} must be whole numbers of shape ({count},), one for each {sample}, got {classes.dtype} "
            f"{tuple(classes.shape)}"
        )
    if int(classes.min()) < 0:
        raise ConfigError(f"{name} must be at least 0, got {int(classes.min())}")


def largest_class(classes: Tensor) -> int:
    """Return the largest of some class indices, or 0 without any.

    It is read once per tensor, since reading makes a GPU wait. Class indices never change in place.
    """
    if classes not in _LARGEST:
        _LARGEST[classes] = int(classes.max()) if len(classes) else 0
    largest: int = _LARGEST[classes]
    return largest


def check_cloud(cloud: PointCloud, ids: Sequence[str]) -> None:
    """Raise ConfigError if points, features or scene have a wrong shape, type or value."""
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
        raise ConfigError("scene must number the scenes from 0 in ascending order, without gaps")
    if len(ids) != cloud.n_scenes:
        raise ConfigError(f"{cloud.n_scenes} scenes have {len(ids)} ids; every scene needs one")
    for name, values in (("points", points), ("features", features)):
        finite = values.isfinite().all(dim=1)
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0])
            raise ConfigError(
                f"{name} must be finite, got {values[row].tolist()} in row {row} (scene {ids[int(scene[row])]!r})"
            )
