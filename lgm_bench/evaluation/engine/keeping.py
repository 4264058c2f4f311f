"""Attacked samples on their way to a sink: those of the examples, or all."""

from collections.abc import Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from lgm_bench.evaluation.engine.sink import Sink
from lgm_bench.tasks.adapter import Adapter, Attempt


class Keeper:
    """Collects what the attacks on one batch, one for each target, make of the samples that are to be kept.

    Args:
        adapter: Of the task.
        batch: Inputs, labels and ids of the samples.
        clean: Logits (K, C) of the hard network before the attacks.
        examples: Ids of the samples that are examples.
        everything: Whether all samples are kept besides.
    """

    def __init__(self, adapter: Adapter, batch: Any, clean: Tensor, examples: Set[str], *, everything: bool) -> None:
        inputs, labels, self.ids = batch
        kept = [place for place, name in enumerate(self.ids) if everything or name in examples]
        self.places = labels.new_tensor(kept if adapter.kept else [])
        self.adapter, self.examples, self.everything = adapter, examples, everything
        self.labels = labels
        self.attempts: list[Attempt] = []
        if len(self.places):
            self.clean, self.clean_labels = self._selected(inputs)
            self.predictions = self._predictions(inputs, clean)

    def attempted(self, target: int | None, inputs: Any, logits: Tensor, attacked: Tensor) -> None:
        """Take what an attack made of the whole batch: inputs, logits of the hard network, and which samples count."""
        if not self._has_all:
            some, predictions = self._selected(inputs)[0], self._predictions(inputs, logits)
            self.attempts.append(Attempt(target, some, predictions, attacked[self.places].cpu()))

    def hand_over(self, sink: Sink, victim: nn.Module) -> None:
        """Give the sink what there is; of a targeted attack, the first target that counts is the example."""
        for number, place in enumerate(self.places.tolist()):
            if self.ids[place] in self.examples:
                counting = [attempt for attempt in self.attempts if attempt.attacked[number]]
                example = self._sample(number, place, (counting or self.attempts)[:1])
                sink.example(self.adapter.example(example, victim))
            if self.everything:
                sink.attacked(self._sample(number, place, self.attempts))

    @property
    def _has_all(self) -> bool:
        """Whether nothing more is wanted: of the examples, no target after the first one that counts."""
        counted = [attempt.attacked for attempt in self.attempts]
        return not len(self.places) or (
            not self.everything and bool(counted) and bool(torch.stack(counted).any(0).all())
        )

    def _sample(self, number: int, place: int, attempts: list[Attempt]) -> Any:
        one = torch.tensor([number])
        clean, labels = self.adapter.select(self.clean, self.clean_labels, one)
        mine = self.adapter.logit_owner(self.clean) == number
        of_sample = [
            Attempt(
                attempt.target,
                self.adapter.select(attempt.inputs, self.clean_labels, one)[0],
                attempt.predictions[mine],
                attempt.attacked[one],
            )
            for attempt in attempts
        ]
        return self.adapter.saved(self.ids[place], clean, labels, self.predictions[mine], of_sample)

    def _selected(self, inputs: Any) -> tuple[Any, Tensor]:
        """Return the inputs and labels of the samples that are kept, on the CPU."""
        some: tuple[Any, Tensor] = self.adapter.select(inputs, self.labels, self.places)
        moved: tuple[Any, Tensor] = tree_map(lambda value: value.detach().cpu(), some)
        return moved

    def _predictions(self, inputs: Any, logits: Tensor) -> Tensor:
        kept = torch.isin(self.adapter.logit_owner(inputs), self.places)
        return logits[kept].argmax(dim=1).cpu()
