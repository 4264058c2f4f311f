"""Attacked images on their way to a sink: those of the examples, or all."""

from collections.abc import Set
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batch import ImageBatch
from lgm_bench.evaluation.engine.stage_parts import Sink
from lgm_bench.evaluation.store.rows import Outcome
from lgm_bench.evaluation.store.samples import SavedImage

NO_TARGET = -1


class _Attempt(NamedTuple):
    """One attack on the K images of a batch that are kept, on the CPU: (K, 3, H, W) and three times (K,)."""

    adversarial: Tensor
    target: Tensor
    prediction: Tensor
    attacked: Tensor


class KeptImages:
    """Collects what the attacks on one batch, one for each target, make of the images that are to be kept.

    Args:
        batch: The images.
        examples: Ids of the samples that are examples.
        everything: Whether all images are kept besides.
    """

    def __init__(self, batch: ImageBatch, examples: Set[str], *, everything: bool) -> None:
        self.batch, self.examples, self.everything = batch, examples, everything
        self.rows = [row for row, name in enumerate(batch.ids) if everything or name in examples]
        self.attempts: list[_Attempt] = []
        self.targeted, self.clean_prediction = False, torch.empty(0)

    def attempted(self, adversarial: Tensor, outcome: Outcome) -> None:
        """Take the whole batch's images (B, 3, H, W) after an attack."""
        if self._has_all:
            return
        self.targeted, self.clean_prediction = outcome.target is not None, self._column(outcome, "clean_prediction")
        target = torch.full((len(self.rows),), NO_TARGET if outcome.target is None else outcome.target)
        prediction, attacked = self._column(outcome, "adversarial_prediction"), outcome.attacked[self.rows].cpu()
        self.attempts.append(_Attempt(_images(adversarial[self.rows]), target, prediction, attacked))

    def _column(self, outcome: Outcome, name: str) -> Tensor:
        return torch.as_tensor(outcome.verdict[name])[self.rows].cpu()

    @property
    def _has_all(self) -> bool:
        """Whether nothing more is wanted: of the examples, no target after the first one that counts."""
        counted = [one.attacked for one in self.attempts]
        return not self.rows or (not self.everything and bool(counted) and bool(torch.stack(counted).any(0).all()))

    def hand_over(self, sink: Sink) -> None:
        """Give the sink what there is; of a targeted attack, the first target that counts is the example."""
        whole = self._whole() if self.everything else None
        for number, row in enumerate(self.rows):
            if self.batch.ids[row] in self.examples:
                counting = [one for one in self.attempts if one.attacked[number]]
                sink.example(self._image(number, row, (counting or self.attempts)[0]))
            if whole:
                sink.attacked(self._image(number, row, whole))

    def _whole(self) -> _Attempt:
        if not self.targeted:
            return self.attempts[0]
        return _Attempt(*(torch.stack(values, 1) for values in zip(*self.attempts, strict=True)))

    def _image(self, number: int, row: int, attempt: _Attempt) -> SavedImage:
        return SavedImage(
            id=self.batch.ids[row],
            clean=_images(self.batch.images[row]),
            adversarial=attempt.adversarial[number],
            label=self.batch.labels[row].cpu(),
            target=attempt.target[number],
            clean_prediction=self.clean_prediction[number],
            adversarial_prediction=attempt.prediction[number],
        )


def _images(values: Tensor) -> Tensor:
    return values.detach().float().cpu()
