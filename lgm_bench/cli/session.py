"""How a command runs cells: find what is missing, run the rest, print and write the results."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import typer

from lgm_bench.cli.output import CELL_FAILED, PlainConsole, complain, say, show, show_json
from lgm_bench.cli.views.gaps import gap_lines
from lgm_bench.cli.views.live import view
from lgm_bench.errors import ConfigError, LgmBenchError, fault
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.cells.schema import RunOptions
from lgm_bench.evaluation.cells.suites import Planned
from lgm_bench.evaluation.engine.finished import finished_results
from lgm_bench.evaluation.engine.place import checked_devices, checked_precision, device_type, here
from lgm_bench.evaluation.engine.runner import FAILURES, RunResults, filled_cell, run_cells
from lgm_bench.evaluation.estimates.estimate import SAMPLES
from lgm_bench.evaluation.estimates.preview import Preview, preview
from lgm_bench.evaluation.readiness import Gap, look
from lgm_bench.evaluation.wording import describe
from lgm_bench.report.folder import ResultsFolder
from lgm_bench.results.comparisons import comparisons_as_json, comparisons_to_rich
from lgm_bench.results.formats import to_rich
from lgm_bench.results.frame import frame_of
from lgm_bench.results.statistics import Comparison, compare_arms
from lgm_bench.results.tables import Table, build_tables
from lgm_bench.sparse.backends import usual_backend
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE


@dataclass
class Session:
    """How a command runs its cells.

    Attributes:
        options: Where and on what they run.
        quiet: Show no progress.
        fresh: Compute finished cells again.
        figures: Show what comes out; of a trial on two samples that means nothing.
        console: Where progress goes: standard error.
    """

    options: RunOptions
    quiet: bool = False
    fresh: bool = False
    figures: bool = True
    console: PlainConsole = field(default_factory=lambda: PlainConsole(stderr=True))

    @cached_property
    def folder(self) -> ResultsFolder:
        """The results folder."""
        return ResultsFolder(Path(self.options.out))

    def gaps(self, planned: Sequence[Planned]) -> list[Gap]:
        """Return and print what the cells lack; if quiet, print only what is required."""
        gaps = look(planned, self.options.data_root).gaps
        self._print_gaps(gaps)
        return gaps

    def preview(self, planned: Sequence[Planned], *, skip_missing: bool = False) -> Preview:
        """Return the estimated cost of the cells, and print what is missing or broken.

        Raises:
            ConfigError: A cell makes no sense or its code is broken, and that may not be skipped.
        """
        cells, options = [one.cell for one in planned], self.options
        filled = {cell: filled_cell(cell, keep_error=skip_missing) for cell in cells}
        for cell, error in filled.items():
            if isinstance(error, Exception):
                complain(f"cannot run: {describe(cell)}: {fault(error)}")
        findings = look(planned, options.data_root, known=SAMPLES)
        self._print_gaps(findings.gaps)
        without = {cell for gap in findings.gaps for cell in gap.cells}
        without |= {cell for cell, error in filled.items() if isinstance(error, Exception)}
        sizes, root = findings.sizes, options.data_root
        return preview(cells, frozenset(without), sizes, data_root=root, accelerator=options.accelerator)

    def _print_gaps(self, gaps: Sequence[Gap]) -> None:
        shown = [gap for gap in gaps if not (gap.optional and self.quiet)]
        width = self.console.width if self.console.is_terminal else None
        for line in gap_lines(shown, width):
            self.console.print(line, soft_wrap=True)

    def run(self, planned: Sequence[Planned], *, skip_missing: bool = False, shard: bool = False) -> RunResults:
        """Return the results of the cells that can run.

        Args:
            planned: The cells.
            skip_missing: Run the other cells when one that is not optional lacks its data or checkpoint.
            shard: Whether the cells are one share of many; then it is no error if none of them can run.

        Raises:
            ConfigError: Something is missing and may not be skipped, or nothing is left to run.
        """
        gaps = look(planned, self.options.data_root).gaps
        without = {cell for gap in gaps for cell in gap.cells}
        cells = [one.cell for one in planned if one.cell not in without]
        if len(gaps) == 1 and not cells and not shard:
            raise ConfigError(gaps[0].what)
        self._print_gaps(gaps)
        if not cells and not (shard and (skip_missing or not planned)):
            raise ConfigError("no cell can run: each one lacks data or weights (see above)")
        if not skip_missing and any(not gap.optional for gap in gaps):
            raise ConfigError(
                "nothing was run because something is missing (see above); add it, or run the other "
                f"{len(cells)} cells with --skip-missing"
            )
        return self.run_ready(cells, skip_broken=skip_missing)

    def run_ready(self, cells: Sequence[Cell], *, skip_broken: bool = False) -> RunResults:
        """Return the results of cells whose data and weights are there, and show progress; see `run_cells`."""
        follows = here().rank > 0
        with view(self.console, cells, quiet=self.quiet or follows, figures=self.figures) as observer:
            results = run_cells(
                cells,
                self.folder.path,
                observer=observer,
                fresh=self.fresh,
                skip_broken=skip_broken,
                **self.options.model_dump(exclude={"out", "report"}),
            )
        if follows:
            raise SystemExit(0)  # process 0 prints and writes for all
        return results

    def finish(
        self, results: RunResults, *, as_json: bool, planned: Sequence[Planned] | None = None, full: bool = False
    ) -> None:
        """Print results as tables or JSON, and exit with the code for failed cells if there are any.

        Args:
            results: Of the cells that were run.
            as_json: Print JSON.
            planned: All cells of the suite. Those that other runs have finished in the results folder are shown too,
                and tables and report are written there. None: only `results` are shown, and nothing is written.
            full: Print the architecture change too, which else only the paper's tables have.

        Raises:
            ResultError: The results folder cannot be written, or another run does not stop writing.
        """
        unfinished: list[Cell] = []
        if planned is None:
            frame = frame_of(results, self.folder.path)
            tables, comparisons = build_tables(frame), compare_arms(frame)
        else:
            results, tables, comparisons, unfinished = self.merged(results, planned)
        if as_json:
            show_json(results_as_json(results, unfinished, comparisons))
        else:
            for table in tables:
                hidden = set() if full or table.name in paper_tables() else {ARCHITECTURE_CHANGE.heading}
                show(to_rich(table, hidden))
            if comparisons:
                show(comparisons_to_rich(comparisons))
            if unfinished:
                say(f"{len(unfinished)} of {len(unfinished) + len(results)} cells are not finished yet")
            say(f"Results are in {self.options.out}")
        wanted = self.options.report and planned is not None and results
        path = self.folder.write_report(results, comparisons, unfinished) if wanted else None
        if path and not as_json:
            say(f"Report: {path}")
        self.leave_if_failed(results)

    def merged(
        self, results: RunResults, planned: Sequence[Planned]
    ) -> tuple[RunResults, list[Table], list[Comparison], list[Cell]]:
        """Return the results of all finished cells, their tables and comparisons, and the unfinished cells.

        Tables and comparisons are written. One run at a time reads and writes, so the last one's tables are complete.
        """
        everything = RunResults()
        everything.failures = results.failures
        options, cells, folder = self.options, [one.cell for one in planned], self.folder
        accelerator = checked_devices(options.accelerator, options.devices, options.num_nodes, here())
        backend = options.backend or usual_backend(device_type(accelerator))
        setting = {"backend": backend, "precision": checked_precision(options.precision, ())}
        with folder.only_writer():
            by_cell = finished_results(
                cells, folder.path, known=results.by_cell, data_root=options.data_root, **setting
            )
            # Cells that are equal once their defaults are filled in are shown once.
            everything.extend({(one.fingerprint, one.cell.paper): one for one in by_cell.values()}.values())
            tables = folder.write_tables(everything, cells) if everything else []
            comparisons = folder.write_comparisons(everything, cells)
        unfinished = [one.cell for one in planned if one.cell not in by_cell and not one.optional]
        return everything, tables, comparisons, unfinished

    def leave_if_failed(self, results: RunResults) -> None:
        """Name the cells that failed, if there are any, and exit with the code for them."""
        failures = results.failures
        if not failures:
            return
        for cell, error in failures:
            complain(f"failed: {describe(cell)}: {fault(error)}")
        what = f"{len(failures)} cell{'s' * (len(failures) > 1)} failed"
        again = "the same command runs only the failed cells again"
        if all(isinstance(error, LgmBenchError) for _, error in failures):
            complain(f"{what}; correct the causes above, then {again}")
        else:
            complain(f"{what}; {again}; tracebacks are in {self.folder.path / FAILURES}")
        raise typer.Exit(CELL_FAILED)


def results_as_json(
    results: RunResults, unfinished: Sequence[Cell] = (), comparisons: Sequence[Comparison] = ()
) -> dict[str, Any]:
    """Return results, comparisons, failures and unfinished cells as plain values."""
    return {
        "results": [result.model_dump(mode="json") for result in results],
        "comparisons": comparisons_as_json(comparisons),
        "failures": [{"cell": describe(cell), "error": fault(error)} for cell, error in results.failures],
        "unfinished": [describe(cell) for cell in unfinished],
    }
