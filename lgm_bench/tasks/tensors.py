"""Adapters of samples that are tensors (B, ...) with one label each, such as images."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.losses import margin
from lgm_bench.tasks.adapter import Adapter, Attempt, Group, Judged, Verdict, check_finite_logits, usable
from lgm_bench.tasks.images import ImageClassification
from lgm_bench.tasks.samples import SavedImage

NO_TARGET = -1


class Tensors(Adapter):
    """Inputs (B, ...), logits (B, C), labels (B,); all samples go through the network together."""

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        if not isinstance(inputs, Tensor) or inputs.ndim < 2 or 0 in inputs.shape or not inputs.is_floating_point():
            got = f"{inputs.dtype} {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else type(inputs).__name__
            raise ConfigError(f"inputs must be a floating point tensor of shape (B, ...), got {got}")
        check_classes("labels", labels, len(inputs), self.task.sample)

    def values(self, inputs: Tensor) -> Tensor:
        return inputs

    def replaced(self, inputs: Tensor, values: Tensor) -> Tensor:
        return values

    def owner(self, inputs: Tensor) -> Tensor:
        return torch.arange(len(inputs), device=inputs.device)

    def groups(self, inputs: Tensor, labels: Tensor) -> list[Group]:
        return [Group(inputs, labels, slice(None), slice(None))]

    def select(self, inputs: Tensor, labels: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        return inputs[samples], labels[samples]

    def detached(self, inputs: Tensor) -> Tensor:
        return usable(inputs)

    def logit_owner(self, inputs: Tensor) -> Tensor:
        return self.owner(inputs)

    def attacked(self, clean: Judged, labels: Tensor, target: int | None) -> Tensor:
        return counts_as_attacked(clean.logits, labels, target)

    def columns(
        self, inputs: Tensor, labels: Tensor, clean: Tensor, logits: Tensor, attacked: Tensor, target: int | None
    ) -> dict[str, Tensor | list[int]]:
        return classified(labels, clean, logits, attacked, target)

    def losses(self, inputs: Tensor, labels: Tensor, logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none")

    def verdict(self, logits: Tensor, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Verdict:
        check_finite_logits(logits, ids)
        return class_verdict(logits, labels, target)


class Images(Tensors):
    """Images (B, channels, H, W) in [0, 1] of any number of channels, logits (B, C), labels (B,)."""

    task = ImageClassification
    kept = SavedImage

    def laid_out(self, batch: Any) -> Any:
        images, labels, ids = batch
        return images.contiguous(memory_format=torch.channels_last), labels, ids

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        if not isinstance(inputs, Tensor):
            raise ConfigError(f"images must be a tensor of shape (B, channels, H, W), got {type(inputs).__name__}")
        if inputs.ndim != 4 or 0 in inputs.shape or not inputs.is_floating_point():
            raise ConfigError(
                f"images must be floating point of shape (B, channels, H, W), got {inputs.dtype} {tuple(inputs.shape)}"
            )
        if len(ids) != len(inputs):
            raise ConfigError(f"{len(inputs)} images have {len(ids)} ids; every image needs one")
        low, high = (float(value) for value in inputs.detach().aminmax())
        if math.isnan(low) or low < 0 or high > 1:
            first = next(i for i, image in enumerate(inputs) if not bool(((image >= 0) & (image <= 1)).all()))
            raise ConfigError(
                f"images must lie in [0, 1], got values from {low} to {high} (first in sample {ids[first]!r}); "
                "normalization belongs inside the victim"
            )
        check_classes("labels", labels, len(inputs), self.task.sample)

    def saved(
        self, sample_id: str, clean: Tensor, labels: Tensor, predictions: Tensor, attempts: Sequence[Attempt]
    ) -> SavedImage:
        """Return the image before and after; with several attempts, those are stacked."""
        targets = [NO_TARGET if attempt.target is None else attempt.target for attempt in attempts]
        several = len(attempts) > 1
        after = [torch.cat([attempt.inputs for attempt in attempts]), torch.tensor(targets)]
        after.append(torch.cat([attempt.predictions for attempt in attempts]))
        images, target, prediction = (values if several else values[0] for values in after)
        return SavedImage(
            id=sample_id,
            clean=clean[0].float(),
            adversarial=images.float(),
            label=labels[0],
            target=target,
            clean_prediction=predictions[0],
            adversarial_prediction=prediction,
        )


def counts_as_attacked(clean: Tensor, labels: Tensor, target: int | None) -> Tensor:
    """Return which samples (B,) bool of clean logits (B, C) count as attacked.

    Untargeted, those that the hard network is right about. With a target, those that are neither predicted nor labelled
    as it: to lead a sample to its own label is no attack.
    """
    predicted = clean.argmax(dim=1)
    return predicted == labels if target is None else (predicted != target) & (labels != target)


def classified(
    labels: Tensor, clean: Tensor, logits: Tensor, attacked: Tensor, target: int | None
) -> dict[str, Tensor | list[int]]:
    """Return the columns `tasks.images.CLASSIFIED` from logits (B, C) before and after an attack."""
    before, after = clean.argmax(dim=1), logits.argmax(dim=1)
    return {
        "label": labels,
        "clean_prediction": before,
        "adversarial_prediction": after,
        "success": attacked & (after != labels if target is None else after == target),
        "correct": torch.where(attacked, after, before) == labels,
    }


def class_verdict(logits: Tensor, labels: Tensor, target: Tensor | None) -> Verdict:
    """Return by how much the true class leads, or the target lags, and whether the prediction is what is wanted."""
    predicted = logits.argmax(dim=1)
    if target is None:
        return Verdict(margin(logits, labels).double(), predicted != labels)
    return Verdict(-margin(logits, target).double(), predicted == target)


def check_classes(name: str, classes: Tensor, count: int, sample: str) -> None:
    """Check class indices, one for each of `count` samples.

    Raises:
        ConfigError: Their type or number is wrong, or one is negative.
    """
    if classes.dtype != torch.int64 or classes.shape != (count,):
        raise ConfigError(
            f"{name} must be whole numbers of shape ({count},), one for each {sample}, got {classes.dtype} "
            f"{tuple(classes.shape)}"
        )
    if int(classes.min()) < 0:
        raise ConfigError(f"{name} must be at least 0, got {int(classes.min())}")
