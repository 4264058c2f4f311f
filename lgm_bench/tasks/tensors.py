"""Adapters of samples with one label each, and of tensors (B, ...) such as images."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.gates import PRESENT
from lgm_bench.leaded.recording import Call, hard_calls
from lgm_bench.losses import margin
from lgm_bench.tasks.adapter import Adapter, Attempt, Group, Judged, Verdict
from lgm_bench.tasks.checks import check_classes, check_finite, check_logits_finite, check_precision, usable
from lgm_bench.tasks.images import ImageClassification
from lgm_bench.tasks.samples import GateRecord, SavedImage

NO_TARGET = -1
PASS_SIZE, PASS_SIZE_OF_LARGE = 64, 4
"""Samples in a forward pass on a CPU; larger passes are not faster. Powers of two, since processors round the last
samples of a batch differently where it is no multiple of their vector length."""
LARGE = 3 * 64 * 64
"""Most values of a small sample."""


class Classified(Adapter):
    """Samples with logits (B, C) and labels (B,). A batch goes through the network as one group."""

    def groups(self, inputs: Any, labels: Tensor) -> list[Group]:
        return [Group(inputs, labels, slice(None), slice(None))]

    def joined(self, decisions: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
        return [{name: torch.cat([units[name] for units in decisions]) for name in decisions[0]}]

    def attacked(self, clean: Judged, labels: Tensor, target: int | None) -> Tensor:
        """Return which samples (B,) bool count as attacked.

        In an untargeted attack these are the samples that the hard network classifies correctly. In a targeted attack
        neither the label nor the clean prediction may be the target.
        """
        predicted = clean.logits.argmax(dim=1)
        return predicted == labels if target is None else (predicted != target) & (labels != target)

    def columns(
        self, inputs: Any, labels: Tensor, clean: Tensor, logits: Tensor, attacked: Tensor, target: int | None
    ) -> dict[str, Tensor | list[int]]:
        """Return the columns `tasks.images.CLASSIFIED`."""
        before, after = clean.argmax(dim=1), logits.argmax(dim=1)
        return {
            "label": labels,
            "clean_prediction": before,
            "adversarial_prediction": after,
            "success": attacked & (after != labels if target is None else after == target),
            "correct": torch.where(attacked, after, before) == labels,
        }

    def losses(self, inputs: Any, labels: Tensor, logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none")

    def verdict(self, logits: Tensor, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Verdict:
        """Return the margin of the true class, or minus that of the target, and whether the attack has succeeded."""
        self.check_logits(logits, labels, target)
        check_logits_finite(logits, ids)
        predicted, no_counts = logits.argmax(dim=1), labels.new_zeros(len(labels), 0)
        if target is None:
            return Verdict(margin(logits, labels).double(), predicted != labels, no_counts)
        return Verdict(-margin(logits, target).double(), predicted == target, no_counts)


class Tensors(Classified):
    """Inputs (B, ...), logits (B, C), labels (B,)."""

    expected = "inputs must be a floating point tensor of shape (B, ...)"

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        if not isinstance(inputs, Tensor) or not self.fits(inputs):
            got = f"{inputs.dtype} {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else type(inputs).__name__
            raise ConfigError(f"{self.expected}, got {got}")
        if len(ids) != len(inputs):
            sample = self.task.sample
            raise ConfigError(f"{len(inputs)} {sample}s have {len(ids)} ids; every {sample} needs one")
        check_finite(inputs, ids, self.task.sample)
        check_classes("labels", labels, len(inputs), self.task.sample)
        check_precision(victim, inputs)

    def groups(self, inputs: Tensor, labels: Tensor) -> list[Group]:
        if self.pass_size is None:
            return super().groups(inputs, labels)
        groups = []
        for start in range(0, len(inputs), self.pass_size):
            rows = slice(start, start + self.pass_size)
            some = inputs[rows]
            groups.append(Group(some, labels[rows], rows, rows, self.pass_size - len(some)))
        return groups

    def fixed_pass_size(self, inputs: Tensor, n_samples: int) -> int:
        largest = PASS_SIZE if inputs[0].numel() <= LARGE else PASS_SIZE_OF_LARGE
        return min(largest, 1 << (n_samples - 1).bit_length())

    def fits(self, inputs: Tensor) -> bool:
        """Return whether a tensor has the shape and type of `expected`."""
        return inputs.ndim >= 2 and 0 not in inputs.shape and inputs.is_floating_point()

    def values(self, inputs: Tensor) -> Tensor:
        return inputs

    def replaced(self, inputs: Tensor, values: Tensor) -> Tensor:
        return values

    def owner(self, inputs: Tensor) -> Tensor:
        return torch.arange(len(inputs), device=inputs.device)

    def select(self, inputs: Tensor, labels: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        return inputs[samples], labels[samples]

    def detached(self, inputs: Tensor) -> Tensor:
        return usable(inputs)

    def logit_owner(self, inputs: Tensor) -> Tensor:
        return self.owner(inputs)


class Images(Tensors):
    """Images (B, channels, H, W) in [0, 1] of any number of channels, logits (B, C), labels (B,)."""

    task = ImageClassification
    kept = SavedImage
    expected = "images must be a floating point tensor of shape (B, channels, H, W)"

    def fits(self, inputs: Tensor) -> bool:
        return inputs.ndim == 4 and super().fits(inputs)

    def laid_out(self, batch: Any) -> Any:
        images, labels, ids = batch
        return images.contiguous(memory_format=torch.channels_last), labels, ids

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        super().check(victim, inputs, labels, ids)
        low, high = (float(value) for value in inputs.detach().aminmax())
        if low < 0 or high > 1:
            first = next(i for i, image in enumerate(inputs) if not bool(((image >= 0) & (image <= 1)).all()))
            raise ConfigError(
                f"images must lie in [0, 1], got values from {low} to {high} (first in sample {ids[first]!r}); "
                "normalization belongs inside the victim"
            )

    def saved(
        self, sample_id: str, clean: Tensor, labels: Tensor, predictions: Tensor, attempts: Sequence[Attempt]
    ) -> SavedImage:
        """Return the image before and after the attack; several attempts are stacked."""
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

    def calls(self, victim: Any, inputs: Tensor) -> list[Call]:
        return [call for call in hard_calls(victim, inputs)[1] if call.unit.used and len(call.score) == len(inputs)]

    def with_gates(self, sample: SavedImage, calls: Sequence[Sequence[Call]], number: int) -> SavedImage:
        records = [_recorded(call, attempt, number) for attempt, own in enumerate(calls) for call in own]
        return sample._replace(gates=tuple(records))


def _recorded(call: Call, attempt: int, number: int) -> GateRecord:
    score = threshold = torch.empty(0)
    if call.unit.chooses == "one":
        score, threshold = (values[number].float() for values in (call.score, call.score - call.margin))
    occupancy = call.occupancy[number] > PRESENT
    return GateRecord(torch.tensor(attempt), call.name, call.unit.chooses, occupancy, score, threshold)
