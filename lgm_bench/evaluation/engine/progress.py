"""How far all processes have come with a cell, for whoever watches."""

from functools import reduce
from operator import add

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.observer import Observer
from lgm_bench.evaluation.engine.ranks import Ranks
from lgm_bench.evaluation.engine.sink import BatchesDone, Event
from lgm_bench.evaluation.store.tally import Tally


class Progress:
    """Counts the samples that are finished, and tells an observer.

    Args:
        cell: The cell, as it was asked for.
        observer: Is told in process 0.
        ranks: The processes.
        n_before: Number of samples that are finished from a run before.
        before: What they measure.
    """

    def __init__(self, cell: Cell, observer: Observer, ranks: Ranks, n_before: int, before: Tally | None) -> None:
        self.cell, self.observer, self.ranks = cell, observer, ranks
        self.n_before, self.before, self.n_told = n_before, before, n_before
        self.here: tuple[int, Tally | None] = 0, None

    def tell(self, event: Event) -> None:
        """Take the news of this process."""
        if isinstance(event, BatchesDone):
            n, tally = self.here
            self.here = n + event.n_samples, event.tally if tally is None else tally + event.tally
        self.update()
        if not isinstance(event, BatchesDone) and self.ranks.leads:
            self.observer.iteration(self.cell, event.i, event.steps, event.n)

    def update(self) -> None:
        """Tell the observer what is new in all processes."""
        shares = [(self.n_before, self.before), self.here, *self.ranks.report(self.here)]
        n_done, tallies = sum(n for n, _ in shares), [tally for _, tally in shares if tally is not None]
        if self.ranks.leads and n_done > self.n_told:
            self.n_told = n_done
            self.observer.batch_done(self.cell, n_done, reduce(add, tallies))
