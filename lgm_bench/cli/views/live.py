"""Progress of a run: bars on a terminal, lines elsewhere."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from lgm_bench.errors import fault
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.progress import Observer
from lgm_bench.evaluation.estimates.time_left import TimeLeft
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.evaluation.wording import (
    clock,
    describe,
    describe_setting,
    gradient_name,
    numbers,
    score,
    time_left,
    when,
)
from lgm_bench.results.comparisons import COLOURS

SECONDS_BETWEEN_LINES = 30.0


class PlainView(Observer):
    """Prints lines for a log: when a cell begins, when it ends, and every half minute in between."""

    def __init__(self, console: Console, cells: Sequence[Cell], *, figures: bool = True) -> None:
        self.console, self.figures = console, figures
        self.time_left = TimeLeft(cells)
        self.started = self.last_line = time.monotonic()
        self.n_begun, self.n_cells, self.n_total, self.done_before = 0, 0, 0, 0
        self.finished: dict[tuple[object, ...], CellResult] = {}

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:
        """Print which cell begins."""
        self._begin(n_cells, total_samples, done_samples)
        resumed = f", {done_samples} of them done before" if done_samples else ""
        left = f", {left} left of the run" if (left := self._run_left(self.n_begun - 1)) else ""
        self._line(f"[{self.n_begun}/{n_cells}] {describe(cell)}: {total_samples} samples{resumed}{left}")

    def outdated(self, cell: Cell, changed: Sequence[str]) -> None:
        """Print why a result in the folder is not used."""
        self._line(f"{describe(cell)}: {', '.join(changed)} changed since; recomputing")

    def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:  # noqa: ARG002
        """Print the progress of the cell every half minute."""
        now = time.monotonic()
        if now - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = now
            left = time_left(now - self.started, n_done - self.done_before, self.n_total - n_done)
            so_far = f", {main} so far" if (main := self._score(running)) else ""
            run = self._run_left(self.n_begun - 1, self._share(n_done))
            of_run = f" of this cell, {run} of the run" if run and self.n_begun < self.n_cells else ""
            self._line(f"[{self.n_begun}/{self.n_cells}] {n_done}/{self.n_total} samples{so_far}, {left} left{of_run}")

    def cell_finished(self, result: CellResult, from_store: bool) -> None:
        """Print the figures of the cell."""
        source = f"from the results folder, {when(result)}" if from_store else clock(time.monotonic() - self.started)
        line = Text(f"{describe(result.cell)}: {self._numbers(result) if self.figures else 'it runs'}  ({source})")
        self._line(line + self._against_baseline(result) if self.figures else line)
        if not from_store and self.n_total > self.done_before:
            share, seconds = self._share(self.n_total), time.monotonic() - self.started
            self.time_left.finished(self.n_begun - 1, share, seconds, result.wall_time_s)

    def cell_failed(self, cell: Cell, error: Exception) -> None:
        """Print why the cell failed."""
        self._line(f"FAILED {describe(cell)}: {fault(error)}")

    def _begin(self, n_cells: int, total_samples: int, done_samples: int) -> None:
        self.n_begun, self.n_cells = self.n_begun + 1, n_cells
        self.n_total, self.done_before = total_samples, done_samples
        self.started = self.last_line = time.monotonic()
        if total_samples:
            self.time_left.begun(self.n_begun - 1, total_samples)

    def _share(self, done: float) -> float:
        """Return the share of the cell's samples that this run has finished."""
        return (done - self.done_before) / self.n_total

    def _run_left(self, number: int, share: float = 0.0) -> str:
        """Return the time left of the whole run, see `TimeLeft.seconds`; empty as long as nothing was measured."""
        seconds = self.time_left.seconds(number, share, time.monotonic() - self.started if share else 0.0)
        return "" if seconds is None else f"about {clock(seconds)}"

    def _numbers(self, result: CellResult) -> str:
        return numbers(result)

    def _score(self, running: Tally) -> str:
        return score(running) if self.figures else ""

    def _against_baseline(self, result: CellResult) -> Text:
        """Return how far a result is from that of the baseline gradient; empty unless that has finished before."""
        cell, metric = result.cell, result.compared
        setting = describe_setting(cell), cell.data, cell.attack.steps, cell.attack.seed
        self.finished[(*setting, cell.gradient.name)] = result
        baseline = self.finished.get((*setting, cell.baseline))
        values = [one.metrics[metric.name] for one in (result, baseline) if one is not None]
        if len(values) < 2 or baseline is result or None in values:
            return Text()
        ours, theirs = (metric.number(value) or 0.0 for value in values)
        stronger = (ours - theirs) * metric.stronger
        style = COLOURS["stronger" if stronger > 0 else "weaker" if stronger < 0 else "undecided"]
        return Text(f"  {metric.label} {ours - theirs:+.2f} against {gradient_name(str(cell.baseline))}", style)

    def _line(self, text: str | Text) -> None:
        self.console.print(text, soft_wrap=True)


class _Bars(Progress):
    """Bars below a headline. The headline is cut at the width of the terminal."""

    headline = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield Text(self.headline, no_wrap=True, overflow="ellipsis", style="bold")
        yield self.make_tasks_table(self.tasks)


class LiveView(PlainView):
    """Prints lines of finished cells, and below them two bars: cells, and samples of the current cell."""

    def __init__(self, console: Console, cells: Sequence[Cell], *, figures: bool = True) -> None:
        super().__init__(console, cells, figures=figures)
        self.progress = _Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[state]}"),
            console=console,
        )
        self.cells: TaskID = self.progress.add_task("cells", total=None, left="", state="")
        self.samples: TaskID = self.progress.add_task("samples", total=None, left="", state="", visible=False)
        self.n_done, self.score = 0, ""

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:
        """Start a new bar of samples."""
        self._begin(n_cells, total_samples, done_samples)
        self.n_done, self.score = done_samples, ""
        self.progress.update(self.cells, total=n_cells, completed=self.n_begun - 1)
        self.progress.headline = describe(cell)
        self.progress.reset(self.samples, total=total_samples, completed=done_samples, visible=True, left="", state="")

    def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:  # noqa: ARG002
        """Move the bar of samples."""
        self.n_done = n_done
        self.score = self._score(running)
        self._move(n_done, self.score)

    def iteration(self, cell: Cell, i: int, steps: int, n: int) -> None:  # noqa: ARG002
        """Show the iteration. It counts as a part of its batch, which gives a time left before the batch ends."""
        if steps > 1:
            inside = i / steps * n
            self._move(self.n_done + inside, f"{self.score}  step {i}/{steps}")

    def cell_finished(self, result: CellResult, from_store: bool) -> None:
        """Print the cell's line above the bars."""
        super().cell_finished(result, from_store)
        self._close()

    def cell_failed(self, cell: Cell, error: Exception) -> None:
        """Print the error above the bars."""
        super().cell_failed(cell, error)
        self._close()

    def _numbers(self, result: CellResult) -> str:
        """Return only what attacks are compared by, before and after, since a terminal may be narrow."""
        metric = result.compared
        values = [result.metrics[name] for name in (metric.before, metric.name) if name]
        return f"{metric.label} {' → '.join(metric.text(value) for value in values if value is not None)}"

    def _line(self, text: str | Text) -> None:
        self.console.print(text)

    def _move(self, done: float, state: str) -> None:
        left = time_left(time.monotonic() - self.started, done - self.done_before, self.n_total - done)
        self.progress.update(self.samples, completed=int(done), left=f"{left} left", state=state.strip())
        self._show_run(self.n_begun - 1, self._run_left(self.n_begun - 1, self._share(done)))

    def _close(self) -> None:
        self._show_run(self.n_begun, self._run_left(self.n_begun))
        self.progress.update(self.samples, visible=False)

    def _show_run(self, n_closed: int, left: str) -> None:
        self.progress.update(self.cells, completed=n_closed, left=f"{left} left" if left else "")


@contextmanager
def view(console: Console, cells: Sequence[Cell], *, quiet: bool, figures: bool = True) -> Iterator[Observer]:
    """Yield the view of a run of `cells`: bars on a terminal, lines elsewhere, nothing if `quiet`.

    Without `figures` it shows that cells run, and not what comes out.
    """
    if quiet or not console.is_terminal:
        yield Observer() if quiet else PlainView(console, cells, figures=figures)
        return
    live = LiveView(console, cells, figures=figures)
    with live.progress:
        try:
            yield live
        finally:
            live.progress.update(live.samples, visible=False)
