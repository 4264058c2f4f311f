"""The run of a command: find what is missing, run the rest, print and write the results."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import typer

from lgm_bench.cli.output import CELL_FAILED, complain, say, show, show_json
from lgm_bench.cli.views.console import PlainConsole
from lgm_bench.cli.views.gaps import gap_lines
from lgm_bench.cli.views.live import view
from lgm_bench.errors import ConfigError, LgmBenchError, fault
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.schema import RunOptions
from lgm_bench.evaluation.cells.suites import Planned
from lgm_bench.evaluation.engine.finished import finished_results
from lgm_bench.evaluation.engine.place import checked_precision, here
from lgm_bench.evaluation.engine.runner import FAILURES, RunResults, run_cells
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


@dataclass
class Session:
    """How a command runs its cells; if `fresh`, also finished ones. Progress goes to `console` (standard error)."""

    options: RunOptions
    quiet: bool = False
    fresh: bool = False
    console: PlainConsole = field(default_factory=lambda: PlainConsole(stderr=True))

    @cached_property
    def folder(self) -> ResultsFolder:
        """The results folder."""
        return ResultsFolder(Path(self.options.out))

    def gaps(self, planned: Sequence[Planned]) -> list[Gap]:
        """Return and print what is missing for the cells; if quiet, print only what is required."""
        found = look(planned, self.options.data_root).gaps
        self._tell(found)
        return found

    def preview(self, planned: Sequence[Planned]) -> Preview:
        """Return the estimated cost of the cells, and print what is missing."""
        findings = look(planned, self.options.data_root, known=SAMPLES)
        self._tell(findings.gaps)
        missing = frozenset(cell for gap in findings.gaps for cell in gap.cells)
        cells, options = [one.cell for one in planned], self.options
        return preview(cells, missing, findings.sizes, data_root=options.data_root, accelerator=options.accelerator)

    def _tell(self, found: Sequence[Gap]) -> None:
        told = [gap for gap in found if not (gap.optional and self.quiet)]
        width = self.console.width if self.console.is_terminal else None
        for line in gap_lines(told, width):
            self.console.print(line, soft_wrap=True)

    def run(self, planned: Sequence[Planned], *, skip_missing: bool = False, shard: bool = False) -> RunResults:
        """Return the results of the cells that can run.

        Args:
            planned: The cells.
            skip_missing: Run the others when a cell that is not optional lacks its data or checkpoint.
            shard: Whether the cells are one share of many: it may be that none of them can run.

        Raises:
            ConfigError: Something is missing and may not be skipped, or nothing is left to run.
        """
        found = look(planned, self.options.data_root).gaps
        without = {cell for gap in found for cell in gap.cells}
        cells = [one.cell for one in planned if one.cell not in without]
        if len(found) == 1 and not cells and not shard:
            raise ConfigError(found[0].what)
        self._tell(found)
        if not cells and not (shard and (skip_missing or not planned)):
            raise ConfigError("no cell can run: each one lacks data or weights (see above)")
        if not skip_missing and any(not gap.optional for gap in found):
            raise ConfigError(
                "nothing was run because something is missing; bring it (see above), or run the other "
                f"{len(cells)} cells with --skip-missing"
            )
        return self.run_ready(cells, skip_broken=skip_missing)

    def run_ready(self, cells: Sequence[Cell], *, skip_broken: bool = False) -> RunResults:
        """Return the results of cells that have all they need, showing progress; see `run_cells`."""
        follows = here().rank > 0
        with view(self.console, quiet=self.quiet or follows) as observer:
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

    def finish(self, results: RunResults, *, as_json: bool, planned: Sequence[Planned] | None = None) -> None:
        """Print results as tables or JSON, and leave with the code for failed cells if there are any.

        Args:
            results: What was run.
            as_json: Print JSON.
            planned: All cells of the suite. What other runs have finished of them in the results folder is shown too,
                and tables and report are written there. None: the results stand alone, and nothing is written.

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
                show(to_rich(table))
            if comparisons:
                show(comparisons_to_rich(comparisons))
            if unfinished:
                say(f"{len(unfinished)} of {len(unfinished) + len(results)} cells are not finished yet")
            say(f"Results are in {self.options.out}")
        path = self.report(results, comparisons, unfinished) if planned is not None and results else None
        if path and not as_json:
            say(f"Report: {path}")
        self.leave_if_failed(results)

    def merged(
        self, results: RunResults, planned: Sequence[Planned]
    ) -> tuple[RunResults, list[Table], list[Comparison], list[Cell]]:
        """Return the results of all finished cells, tables and comparisons after writing them, and unfinished cells.

        Only one run at a time looks and writes, so that the last one's tables have everything.
        """
        everything = RunResults()
        everything.failures = results.failures
        options, cells, folder = self.options, [one.cell for one in planned], self.folder
        setting = {"backend": options.backend, "precision": checked_precision(options.precision, ())}
        with folder.only_writer():
            found = finished_results(cells, folder.path, known=results.by_cell, data_root=options.data_root, **setting)
            # cells that are the same once their defaults are filled in are shown once
            everything.extend({(one.fingerprint, one.cell.paper): one for one in found.values()}.values())
            tables = folder.write_tables(everything, cells) if everything else []
            comparisons = folder.write_comparisons(everything, cells)
        unfinished = [one.cell for one in planned if one.cell not in found and not one.optional]
        return everything, tables, comparisons, unfinished

    def report(self, results: RunResults, comparisons: Sequence[Comparison], unfinished: Sequence[Cell]) -> Path | None:
        """Write the report of results into their folder; return its path, or None if it is not wanted or failed."""
        return self.folder.write_report(results, comparisons, unfinished) if self.options.report else None

    def leave_if_failed(self, results: RunResults) -> None:
        """Name the cells that failed, if there are any, and leave with the code for them."""
        failures = results.failures
        if not failures:
            return
        for cell, error in failures:
            complain(f"failed: {describe(cell)}: {fault(error)}")
        remedy = "mend what is said above; then the same command tries again what failed, and only that"
        if not all(isinstance(error, LgmBenchError) for _, error in failures):
            remedy = "the same command tries again what failed, and only that"
            remedy += f"; tracebacks are in {self.folder.path / FAILURES}"
        complain(f"{len(failures)} cell{'s' * (len(failures) > 1)} failed; {remedy}")
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
