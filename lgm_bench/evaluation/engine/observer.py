"""What a run tells while it runs; live views implement it."""

from collections.abc import Sequence
from typing import Protocol

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.tally import Tally


class Observer(Protocol):
    """Receives the events of `run_cells`, one cell after another, in the calling process (possibly in a thread)."""

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:
        """A cell begins; `done_samples` of its `total_samples` are there from a run before."""

    def outdated(self, cell: Cell, changed: Sequence[str]) -> None:
        """A finished result of the cell is not used, since files, weights or samples have changed since."""

    def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:
        """`n_done` samples of the cell are finished.

        `running` holds what they add up to: `running.figures()` are the task's figures so far.
        """

    def iteration(self, cell: Cell, i: int, steps: int, n: int) -> None:
        """The attack on the current batch of `n` samples has finished iteration `i` of `steps`."""

    def cell_finished(self, result: CellResult, from_store: bool) -> None:
        """A cell is complete; `from_store` if it was before this run."""

    def cell_failed(self, cell: Cell, error: Exception) -> None:
        """A cell could not be finished; the run goes on with the next."""


class SilentObserver:
    """An observer that ignores everything."""

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:
        """Ignore."""

    def outdated(self, cell: Cell, changed: Sequence[str]) -> None:
        """Ignore."""

    def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:
        """Ignore."""

    def iteration(self, cell: Cell, i: int, steps: int, n: int) -> None:
        """Ignore."""

    def cell_finished(self, result: CellResult, from_store: bool) -> None:
        """Ignore."""

    def cell_failed(self, cell: Cell, error: Exception) -> None:
        """Ignore."""
