"""Writing reports: of a run that has just ended, and of a results folder."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import PARTS, RESULT
from lgm_bench.evaluation.store.writing import UNUSABLE
from lgm_bench.evaluation.wording import describe
from lgm_bench.files import write_whole
from lgm_bench.report.page import page
from lgm_bench.results.reading import located, read_results
from lgm_bench.results.statistics import Comparison, compare_arms
from lgm_bench.results.tables.arms_table import comparisons_to_latex, comparisons_to_markdown
from lgm_bench.results.tables.table_formats import to_latex, to_markdown
from lgm_bench.results.tables.tables import build_tables

log = logging.getLogger(__name__)

REPORT = "report.html"


def report_of_run(
    results: Sequence[CellResult],
    out: Path,
    comparisons: Sequence[Comparison],
    failures: Sequence[tuple[Cell, Exception]] = (),
    unfinished: Sequence[Cell] = (),
    write: Callable[[Path, bytes], None] = write_whole,
) -> Path | None:
    """Write the report of a run's results into its folder and return its path.

    A run may have taken days, and its report can be made again: whatever happens here is told and goes no further.

    Args:
        results: What was measured.
        out: The results folder.
        comparisons: Arms against their baselines.
        failures: Cells that failed, each with its error.
        unfinished: Cells that are still to come.
        write: Writes a file.
    """
    notes = [f"Failed: {describe(cell)}: {error or type(error).__name__}" for cell, error in failures]
    notes += [f"{len(unfinished)} cells of the suite are not finished yet."] if unfinished else []
    try:
        html = page(located(results, out), comparisons, title=f"lgm-bench: {out.resolve().name}", notes=notes)
        write(out / REPORT, html.encode())
    except Exception as error:  # see above
        log.warning("no report could be made (%s: %s); try lgm-bench report %s", type(error).__name__, error, out)
        return None
    return out / REPORT


def write_report(results: Path, out: Path | None = None) -> list[Path]:
    """Write the report of a results folder, and its tables as Markdown and LaTeX beside it; return their paths.

    Args:
        results: The folder.
        out: The HTML file; None: `REPORT` in the folder.

    Raises:
        ResultError: The folder has no finished cell, or a file cannot be written.
    """
    found = read_results(results)
    folder = results if results.is_dir() else results.parent
    notes = _left_out(folder, len(found))
    shown = [one.result for one in found]
    path = out or folder / REPORT
    if path.suffix in (".md", ".tex"):
        raise ResultError(f"{path} would hold the tables; give the HTML file another name with --out")
    comparisons = compare_arms(shown, found[0].folder.parent)
    tables = build_tables(with_places(shown))
    html = page(found, comparisons, tables, title=f"lgm-bench: {folder.resolve().name}", notes=notes)
    markdown, latex = [to_markdown(table) for table in tables], [to_latex(table) for table in tables]
    if comparisons:
        markdown.append(comparisons_to_markdown(comparisons))
        latex.append(comparisons_to_latex(comparisons))
    texts = {path: html, path.with_suffix(".md"): "\n".join(markdown), path.with_suffix(".tex"): "\n".join(latex)}
    for file, text in texts.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, text.encode())
        except OSError as error:
            raise ResultError(
                f"cannot write {file}: {error.strerror or error}; choose another file with --out"
            ) from error
    return list(texts)


def _left_out(folder: Path, n_found: int) -> list[str]:
    """Return what there is in a results folder besides the cells that can be shown."""
    n_records, notes = len(list(folder.glob(f"*/{RESULT}"))), []
    if n_records > n_found:
        notes.append(f"{n_records - n_found} results are left out: they are damaged or of another version.")
    running = [path.parent.name for path in folder.glob(f"*/{PARTS}") if not (path.parent / RESULT).exists()]
    if running:
        notes.append(
            f"{len(running)} cells are not finished: {', '.join(sorted(running)[:3])}{'…' * (len(running) > 3)}."
        )
    aside = [path.parent.name for path in folder.glob(f"*/*{UNUSABLE}")]
    if aside:
        notes.append(f"Files of {len(set(aside))} cells were set aside because they could not be used (*{UNUSABLE}).")
    return notes


def with_places(results: Sequence[CellResult]) -> list[CellResult]:
    """Return results once for each table that the shipped suites put their cell in, and as they are if there is none.

    A cell is computed once, also where several tables print it: Tables VIII to X are of cells of Table IV.

    Args:
        results: Of finished cells, as they were recorded.
    """
    bench = load_bench()
    planned = [one.cell for one in plan(bench, list(bench.suites), full=True) if one.cell.paper]
    victims = {result.cell.victim.name for result in results}
    places: dict[Cell, dict[tuple[str, ...], None]] = {}
    for cell in planned:
        if cell.victim.name in victims and cell.paper:
            places.setdefault(_plain(resolved(cell)), {})[cell.paper] = None
    found = []
    for result in results:
        known = dict.fromkeys([result.cell.paper, *places.get(_plain(result.cell), {})])
        tables = [place for place in known if place is not None or len(known) == 1]
        found += [result.model_copy(update={"cell": result.cell.replace(paper=place)}) for place in tables]
    return found


def _plain(cell: Cell) -> Cell:
    return cell.without("paper", "victim.mean", "victim.std", "victim.checkpoint")
