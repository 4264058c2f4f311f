"""Checks of what users hand to an attack."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench.errors import ConfigError


def check_budget(eps: float, step: float, steps: int, seed: int, unit: str = "in 1/255 of the intensity range") -> None:
    """Check the numbers that every attack has; `unit` is that of eps and step, for the messages.

    Raises:
        ConfigError: One of them makes no sense.
    """
    if not (math.isfinite(eps) and eps >= 0):
        raise ConfigError(f"eps must be a number of at least 0 ({unit}), got {eps}")
    if not (math.isfinite(step) and (step > 0 or (step == 0 and eps == 0))):
        raise ConfigError(f"step must be a positive number ({unit}), got {step}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"steps must be a whole number of at least 1, got {steps!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed must be a whole number of at least 0, got {seed!r}")


def check_victim(victim: nn.Module) -> None:
    """Check that `victim` can be attacked now.

    Raises:
        ConfigError: It is in training mode, or gradients are impossible here.
    """
    if victim.training:
        raise ConfigError(
            f"{type(victim).__name__} is in training mode, where predictions depend on the batch; "
            "call victim.eval() before the attack"
        )
    if torch.is_inference_mode_enabled():
        raise ConfigError("an attack needs gradients, which inference mode forbids; use Trainer(inference_mode=False)")


def check_batch(batch: ImageBatch, target: Tensor | None) -> None:
    """Check images, labels, ids and targets.

    Raises:
        ConfigError: A shape, a type or a value is wrong.
    """
    images, labels, ids = batch
    if images.ndim != 4 or 0 in images.shape or not images.is_floating_point():
        raise ConfigError(
            f"images must be floating point of shape (B, channels, H, W), got {images.dtype} {tuple(images.shape)}"
        )
    if len(ids) != len(images):
        raise ConfigError(f"{len(images)} images have {len(ids)} ids; every image needs one")
    low, high = (float(value) for value in images.detach().aminmax())
    if math.isnan(low) or low < 0 or high > 1:
        first = next(i for i, image in enumerate(images) if not bool(((image >= 0) & (image <= 1)).all()))
        raise ConfigError(
            f"images must lie in [0, 1], got values from {low} to {high} (first in sample {ids[first]!r}); "
            "normalization belongs inside the victim"
        )
    _check_classes("labels", labels, len(images))
    if target is not None:
        _check_classes("target", target, len(images))


def check_logits(logits: Tensor, ids: Sequence[str]) -> None:
    """Check that a verdict can be taken from logits (B, classes): of those that are no numbers none is the largest.

    Raises:
        ConfigError: One is NaN.
    """
    bad = logits.isnan().flatten(1).any(dim=1).tolist()
    if any(bad):
        first = next(name for name, is_bad in zip(ids, bad, strict=True) if is_bad)
        raise ConfigError(
            f"the victim's logits of {sum(bad)} samples are not numbers (first: {first!r}); check its weights"
        )


def _check_classes(name: str, classes: Tensor, count: int) -> None:
    if classes.dtype != torch.int64 or classes.shape != (count,):
        raise ConfigError(f"{name} must be int64 of shape ({count},), got {classes.dtype} {tuple(classes.shape)}")
    if int(classes.min()) < 0:
        raise ConfigError(f"{name} must be at least 0, got {int(classes.min())}")
