"""Storing the rows of attacked batches, and the samples that are kept."""

import time
from collections.abc import Sequence, Set
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torchmetrics import Metric

from lgm_bench.evaluation.engine.progress import Progress
from lgm_bench.evaluation.store.provenance import describe_device, forget_peak, peak
from lgm_bench.evaluation.store.record import Preflight
from lgm_bench.evaluation.store.samples import keep_adversarial, keep_example
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.leaded.recording import Call
from lgm_bench.tasks.adapter import Adapter, Attempt

GROUP_S, MOST_WRITING = 1.0, 0.01
"""Waiting rows are written as one file after so many seconds, and so rarely that writing takes at most this share of
the time. A killed process loses at most these rows."""


class Sink:
    """Puts the rows and checks of an attack stage into a store, and reports them and every iteration.

    Call `write` at the end, since rows may be waiting. The rows also go into `figures`.
    """

    def __init__(
        self,
        store: CellStore,
        device: torch.device,
        progress: Progress,
        figures: Metric,
        class_names: Sequence[str] = (),
    ) -> None:
        self.store, self.device, self.progress, self.figures = store, device, progress, figures
        self.class_names = class_names
        self._waiting: list[pa.Table] = []
        self._seconds, self._due = 0.0, time.monotonic() + GROUP_S
        forget_peak(device)

    def checked(self, checks: Preflight) -> None:
        """Keep the pre-flight checks."""
        self.store.keep_checks(checks)

    def example(self, sample: Any) -> None:
        """Keep an example, before the rows of its batch."""
        keep_example(self.store.folder, sample)

    def attacked(self, sample: Any) -> None:
        """Keep a sample after the attack, before the rows of its batch."""
        keep_adversarial(self.store.folder, sample, self.class_names)

    def finished(self, rows: pa.Table, seconds: float) -> None:
        """Keep the rows of a finished batch, which took `seconds`."""
        self._waiting.append(rows)
        self._seconds += seconds
        if time.monotonic() >= self._due:
            self.write()

    def write(self, *, report: bool = True) -> None:
        """Put the rows that wait into the store, and report them."""
        if not self._waiting:
            return
        start, rows, seconds = time.monotonic(), pa.concat_tables(self._waiting), self._seconds
        self._waiting, self._seconds = [], 0.0
        self.store.add(rows, seconds, describe_device(self.device), peak(self.device))
        self.figures.update(rows)
        if report:
            self.progress.batches_done(pc.count_distinct(rows.column("id")).as_py(), Tally.of(rows))
        end = time.monotonic()
        self._due = end + max(GROUP_S, (end - start) / MOST_WRITING)

    def iteration(self, i: int, steps: int, n: int) -> None:
        """Report that iteration `i` of `steps` on the current batch of `n` samples is done."""
        self.progress.iteration(i, steps, n)


class Keeper:
    """Collects the samples of a batch to keep, before and after each attack; there is one attack per target.

    These are the samples whose ids are in `examples`, or all samples with `everything`. `clean` has the hard network's
    logits (K, C) before the attacks.
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
        """Add one attack on the whole batch: inputs after it, the hard network's logits, and which samples count."""
        if not self._has_all:
            some, predictions = self._selected(inputs)[0], self._predictions(inputs, logits)
            self.attempts.append(Attempt(target, some, predictions, attacked[self.places].cpu()))

    def hand_over(self, sink: Sink, victim: nn.Module) -> None:
        """Give the samples to the sink; the example of a targeted attack is the first target that counts."""
        if not len(self.places):
            return
        states = [self.clean, *(attempt.inputs for attempt in self.attempts)]
        clean, *after = [self.adapter.calls(victim, self._on_device(state)) for state in states]
        tried = list(zip(self.attempts, after, strict=True))
        for number, place in enumerate(self.places.tolist()):
            if self.ids[place] in self.examples:
                counting = [one for one in tried if one[0].attacked[number]]
                example = self._sample(number, place, clean, (counting or tried)[:1])
                sink.example(self.adapter.example(example, victim))
            if self.everything:
                sink.attacked(self._sample(number, place, clean, tried))

    @property
    def _has_all(self) -> bool:
        """Whether no further attempt is needed: an example needs only the first target that counts."""
        counted = [attempt.attacked for attempt in self.attempts]
        return not len(self.places) or (
            not self.everything and bool(counted) and bool(torch.stack(counted).any(0).all())
        )

    def _sample(self, number: int, place: int, before: list[Call], tried: list[tuple[Attempt, list[Call]]]) -> Any:
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
            for attempt, _ in tried
        ]
        sample = self.adapter.saved(self.ids[place], clean, labels, self.predictions[mine], of_sample)
        return self.adapter.with_gates(sample, [before, *(after for _, after in tried)], number)

    def _on_device(self, inputs: Any) -> Any:
        """Return inputs that are kept on the CPU on the victim's device."""
        return tree_map(lambda value: value.to(self.labels.device), inputs)

    def _selected(self, inputs: Any) -> tuple[Any, Tensor]:
        """Return the inputs and labels of the samples that are kept, on the CPU."""
        some: tuple[Any, Tensor] = self.adapter.select(inputs, self.labels, self.places)
        moved: tuple[Any, Tensor] = tree_map(lambda value: value.detach().cpu(), some)
        return moved

    def _predictions(self, inputs: Any, logits: Tensor) -> Tensor:
        kept = torch.isin(self.adapter.logit_owner(inputs), self.places)
        return logits[kept].argmax(dim=1).cpu()
