"""Where the rows of an attack stage go: into the store, and news of them to whoever shows progress."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torchmetrics import MetricCollection

from lgm_bench.evaluation.store.provenance import describe_device, forget_peak, peak
from lgm_bench.evaluation.store.record import Preflight
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.evaluation.store.tally import Tally


class BatchesDone(NamedTuple):
    """Rows are in the store: how many samples they are of, and their sums."""

    n_samples: int
    tally: Tally


class Iteration(NamedTuple):
    """Iteration `i` of `steps` on the current batch of `n` samples is done."""

    i: int
    steps: int
    n: int


Event = BatchesDone | Iteration


class Sink(Protocol):
    """Takes what a stage produces, in the process where it was produced."""

    def checked(self, checks: Preflight) -> None:
        """The pre-flight checks, in the first process."""

    def example(self, sample: Any) -> None:
        """One of the samples that are kept as examples, before the rows of its batch."""

    def attacked(self, sample: Any) -> None:
        """A sample after the attack, before the rows of its batch; only where all of them are to be kept."""

    def finished(self, rows: pa.Table, seconds: float) -> None:
        """The rows of one finished batch, with the schema of their task, and how long it took."""

    def iteration(self, i: int, steps: int, n: int) -> None:
        """Iteration `i` of `steps` of the attack on the current batch of `n` samples is done."""


GROUP_S = 1.0
"""Rows of batches that follow each other this quickly (seconds) go into one file: a fast attack takes less time than a
file. A process that is killed loses no more than these."""


class StoreSink:
    """Puts rows and checks into a store, and tells of them and of every iteration; `write` what is left at the end.

    Args:
        store: The cell's folder.
        device: What computes.
        tell: Takes the events, in the process that computes.
        figures: Take the rows besides.
        class_names: Of what is attacked.
    """

    def __init__(
        self,
        store: CellStore,
        device: torch.device,
        tell: Callable[[Event], None],
        figures: MetricCollection,
        class_names: Sequence[str] = (),
    ) -> None:
        self.store, self.device, self.tell, self.figures, self.class_names = store, device, tell, figures, class_names
        self._waiting: list[pa.Table] = []
        self._seconds, self._written = 0.0, time.monotonic()
        forget_peak(device)

    def checked(self, checks: Preflight) -> None:
        """Keep the checks."""
        self.store.keep_checks(checks)

    def example(self, sample: Any) -> None:
        """Keep an example."""
        self.store.samples.keep_example(sample)

    def attacked(self, sample: Any) -> None:
        """Keep an attacked sample."""
        self.store.samples.keep_adversarial(sample, self.class_names)

    def finished(self, rows: pa.Table, seconds: float) -> None:
        """Keep a batch's rows."""
        self._waiting.append(rows)
        self._seconds += seconds
        if time.monotonic() - self._written >= GROUP_S:
            self.write()

    def write(self, *, tell: bool = True) -> None:
        """Put the rows that wait into the store, and tell of them."""
        if not self._waiting:
            return
        rows, seconds = pa.concat_tables(self._waiting), self._seconds
        self._waiting, self._seconds = [], 0.0
        self.store.add(rows, seconds, describe_device(self.device), peak(self.device))
        self._written = time.monotonic()
        self.figures.update(rows)
        if tell:
            self.tell(BatchesDone(pc.count_distinct(rows.column("id")).as_py(), Tally.of(rows)))

    def iteration(self, i: int, steps: int, n: int) -> None:
        """Pass it on."""
        self.tell(Iteration(i, steps, n))
