"""One command's run: look for what is missing, run the rest, write the tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from lgm_bench.cli.views.console import PlainConsole
from lgm_bench.cli.views.gaps import gap_lines
from lgm_bench.cli.views.live import view
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.schema import RunOptions
from lgm_bench.evaluation.cells.suites import Planned
from lgm_bench.evaluation.engine.finished import finished_results
from lgm_bench.evaluation.engine.place import checked_precision, here
from lgm_bench.evaluation.engine.runner import RunResults, run_cells
from lgm_bench.evaluation.estimates.estimate import SAMPLES
from lgm_bench.evaluation.estimates.preview import Preview, preview
from lgm_bench.evaluation.readiness import Gap, find_gaps, look
from lgm_bench.evaluation.wording import describe
from lgm_bench.report.folder import ResultsFolder
from lgm_bench.results.comparisons import comparisons_as_json
from lgm_bench.results.frame import frame_of
from lgm_bench.results.statistics import Comparison, compare_arms
from lgm_bench.results.tables import Table


class Merged(NamedTuple):
    """All that is finished in a results folder of the cells that a run is for.

    Attributes:
        results: The results, with what failed in this run.
        tables: Their tables, as written.
        comparisons: Arms against their baselines, as written.
        unfinished: The cells still to come.
    """

    results: RunResults
    tables: list[Table]
    comparisons: list[Comparison]
    unfinished: list[Cell]


@dataclass
class Session:
    """How one command runs its cells, finished ones too if `fresh`. Progress goes to `console` (standard error)."""

    options: RunOptions
    quiet: bool = False
    fresh: bool = False
    console: PlainConsole = field(default_factory=lambda: PlainConsole(stderr=True))

    @cached_property
    def folder(self) -> ResultsFolder:
        """The results folder."""
        return ResultsFolder(Path(self.options.out))

    def gaps(self, planned: Sequence[Planned]) -> list[Gap]:
        """Return what is missing for the cells, and say it (if quiet: only what keeps cells from running)."""
        found = find_gaps(planned, self.options.data_root)
        self._tell(found)
        return found

    def preview(self, planned: Sequence[Planned]) -> Preview:
        """Return what the cells are about to cost here and which of them can run, and say what is missing."""
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
        found = find_gaps(planned, self.options.data_root)
        without = {cell for gap in found for cell in gap.cells}
        cells = [one.cell for one in planned if one.cell not in without]
        if len(found) == 1 and not cells and not shard:
            raise ConfigError(found[0].what)
        self._tell(found)
        if not cells and not (shard and (skip_missing or not planned)):
            raise ConfigError("nothing was run because everything lacks something; see above")
        if not skip_missing and any(not gap.optional for gap in found):
            raise ConfigError(
                "nothing was run because something is missing; bring it (see above), or run the other "
                f"{len(cells)} cells with --skip-missing"
            )
        return self.run_ready(cells)

    def run_ready(self, cells: Sequence[Cell]) -> RunResults:
        """Return the results of cells that have all they need, showing progress.

        Args:
            cells: What to run.
        """
        follows = here().rank > 0
        with view(self.console, quiet=self.quiet or follows) as observer:
            results = run_cells(
                cells,
                self.folder.path,
                data_root=self.options.data_root,
                batch_size=self.options.batch_size,
                accelerator=self.options.accelerator,
                devices=self.options.devices,
                num_nodes=self.options.num_nodes,
                precision=self.options.precision,
                force_precision=self.options.force_precision,
                observer=observer,
                save_adversarial=self.options.save_adversarial,
                backend=self.options.backend,
                fresh=self.fresh,
            )
        if follows:
            raise SystemExit(0)  # process 0 prints and writes for all
        return results

    def merge(self, results: RunResults, planned: Sequence[Planned]) -> Merged:
        """Return the results of all finished cells, and their tables after writing them.

        What a run leaves out (another shard's cells, or those that lack something here) counts too, if it is finished
        in the results folder. Only one run at a time looks and writes, so that the last one's tables have everything.

        Args:
            results: What this run has, and what failed.
            planned: The cells that the tables are for.

        Raises:
            ResultError: The results folder cannot be written, or another run does not stop writing.
        """
        everything = RunResults()
        everything.failures = results.failures
        options, cells = self.options, [one.cell for one in planned]
        setting = {"backend": options.backend, "precision": checked_precision(options.precision, ())}
        with self.folder.only_writer():
            found = finished_results(
                cells, self.folder.path, known=results.by_cell, data_root=options.data_root, **setting
            )
            # cells that turn out to be the same, once their defaults are filled in, are shown once
            everything.extend({(one.fingerprint, one.cell.paper): one for one in found.values()}.values())
            tables = self.folder.write_tables(everything, cells) if everything else []
            comparisons = self.folder.write_comparisons(everything, cells)
        unfinished = [one.cell for one in planned if one.cell not in found and not one.optional]
        return Merged(everything, tables, comparisons, unfinished)

    def comparisons(self, results: RunResults) -> list[Comparison]:
        """Return each gradient against the baseline, of results that stand alone."""
        return compare_arms(frame_of(results, self.folder.path))

    def report(self, results: RunResults, comparisons: Sequence[Comparison], unfinished: Sequence[Cell]) -> Path | None:
        """Write the report of results into their folder; return its path, or None if it is not wanted or failed."""
        return self.folder.write_report(results, comparisons, unfinished) if self.options.report else None


def as_json(
    results: RunResults, unfinished: Sequence[Cell] = (), comparisons: Sequence[Comparison] = ()
) -> dict[str, Any]:
    """Return results, their comparisons, failures and the cells that are still to come as plain values."""
    return {
        "results": [result.model_dump(mode="json") for result in results],
        "comparisons": comparisons_as_json(comparisons),
        "failures": [{"cell": describe(cell), "error": str(error)} for cell, error in results.failures],
        "unfinished": [describe(cell) for cell in unfinished],
    }
