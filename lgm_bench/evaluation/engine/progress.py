"""The events of a run, which live views show, summed over all processes."""

from collections.abc import Sequence
from functools import reduce
from operator import add

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.ranks import Ranks
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.tally import Tally


class Observer:
    """Receives the events of `run_cells`, one cell after another, in the calling process (possibly in a thread).

    This one ignores them all; a view overrides those that it shows.
    """

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:
        """A cell begins; an earlier run has finished `done_samples` of its `total_samples`."""

    def outdated(self, cell: Cell, changed: Sequence[str]) -> None:
        """A finished result of the cell is not used, since files, weights or samples have changed since."""

    def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:
        """`n_done` samples of the cell are finished; `running.figures()` are the task's figures so far."""

    def iteration(self, cell: Cell, i: int, steps: int, n: int) -> None:
        """The attack on the current batch of `n` samples has finished iteration `i` of `steps`."""

    def cell_finished(self, result: CellResult, from_store: bool) -> None:
        """A cell is complete; `from_store` if it was complete before this run."""

    def cell_failed(self, cell: Cell, error: Exception) -> None:
        """A cell could not be finished; the run goes on with the next."""


class Progress:
    """Counts the finished samples of a cell over all processes, and passes this on to an observer in process 0.

    An earlier run may have finished `n_before` samples, whose rows add up to `before`.
    """

    def __init__(self, cell: Cell, observer: Observer, ranks: Ranks, n_before: int, before: Tally | None) -> None:
        self.cell, self.observer, self.ranks = cell, observer, ranks
        self.n_before, self.before, self.n_reported = n_before, before, n_before
        self.here: tuple[int, Tally | None] = 0, None

    def batches_done(self, n_samples: int, tally: Tally) -> None:
        """Count samples that this process has finished."""
        n, before = self.here
        self.here = n + n_samples, tally if before is None else before + tally
        self.update()

    def iteration(self, i: int, steps: int, n: int) -> None:
        """Note iteration `i` of `steps` on the current batch of `n` samples of this process."""
        self.update()
        if self.ranks.leads:
            self.observer.iteration(self.cell, i, steps, n)

    def update(self) -> None:
        """Report the progress of all processes since the last report."""
        shares = [(self.n_before, self.before), self.here, *self.ranks.report(self.here)]
        n_done, tallies = sum(n for n, _ in shares), [tally for _, tally in shares if tally is not None]
        if self.ranks.leads and n_done > self.n_reported:
            self.n_reported = n_done
            self.observer.batch_done(self.cell, n_done, reduce(add, tallies))
