"""Files beside the cells of a results folder: tables, comparisons and the report."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lgm_bench.errors import ResultError, fault
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.engine.runner import RunResults
from lgm_bench.evaluation.store.files import UNUSABLE
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import PARTS, RESULT
from lgm_bench.evaluation.wording import describe
from lgm_bench.files import write_whole
from lgm_bench.report.page import page
from lgm_bench.results.comparisons import comparison_grid
from lgm_bench.results.formats import grid_to_latex, grid_to_markdown, to_latex, to_markdown
from lgm_bench.results.frame import frame_of, table_of
from lgm_bench.results.reading import located, read_results
from lgm_bench.results.statistics import Comparison, compare_arms
from lgm_bench.results.tables import Table, build_tables

log = logging.getLogger(__name__)

REPORT, COMPARISONS = "report.html", "comparisons"
LOCK, LOCK_SECONDS = ".tables.lock", 120.0


class ResultsFolder:
    """A results folder into which several runs may write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: tuple[Path, tuple[int, int]] | None = None  # the CSV file that this run wrote, and its identity

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Lock the folder against other runs in this block.

        Raises:
            ResultError: The folder cannot be created, or another run holds the lock for too long.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK, timeout=LOCK_SECONDS)
            lock.acquire()
        except Timeout as error:
            raise ResultError(
                f"another run has been writing tables to {self.path} for more than {LOCK_SECONDS:.0f} s; wait for it "
                "and run the same command again: nothing is computed twice"
            ) from error
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        try:
            yield
        finally:
            lock.release()

    def write_tables(self, results: Sequence[CellResult], cells: Sequence[Cell] | None = None) -> list[Table]:
        """Write tables of the results as Markdown and LaTeX, and a CSV file of all cells; return the tables.

        The file names of limited runs contain the limit, so that a quick look never replaces a full table.

        Args:
            results: Finished cells.
            cells: All cells of the run, finished or not, so that a file keeps its name while more cells are added.
                None: the cells of the results.

        Raises:
            ResultError: The results folder cannot be written.
        """
        cells = [result.cell for result in results] if cells is None else cells
        frame = frame_of(results)
        tables = build_tables(frame)
        for table in tables:
            suffix = _limits([cell for cell in cells if table_of(cell) == table.name])
            save(self.path / f"{table.name}{suffix}.md", to_markdown(table))
            save(self.path / f"{table.name}{suffix}.tex", to_latex(table))
        path = self.path / f"results{_limits(cells)}.csv"
        save(path, frame.to_csv(index=False, lineterminator="\n"))
        self._written = path, _version(path)
        return tables

    def write_comparisons(self, results: Sequence[CellResult], cells: Sequence[Cell]) -> list[Comparison]:
        """Compare each arm with its baseline, write the comparisons as Markdown and LaTeX, and return them.

        Raises:
            ResultError: The results folder cannot be written.
        """
        comparisons = compare_arms(frame_of(results, self.path))
        if comparisons:
            path = self.path / f"{COMPARISONS}{_limits(cells)}"
            grid = comparison_grid(comparisons)
            save(path.with_name(f"{path.name}.md"), grid_to_markdown(grid))
            save(path.with_name(f"{path.name}.tex"), grid_to_latex(grid))
        return comparisons

    def write_report(
        self, results: RunResults, comparisons: Sequence[Comparison], unfinished: Sequence[Cell]
    ) -> Path | None:
        """Write the report of a run; return its path, or None if it failed.

        An error is only logged: the run may have taken days, and its report can be made again. Drawing takes seconds.
        If another run has meanwhile written newer tables, this report is not written, since that run writes one too.
        """
        notes = [f"Failed: {describe(cell)}: {fault(error)}" for cell, error in results.failures]
        notes += [f"{len(unfinished)} cells of the suite are not finished yet."] if unfinished else []
        path = self.path / REPORT
        try:
            html = page(located(results, self.path), comparisons, title=_title(self.path), notes=notes)
            with self.only_writer():
                if self._written is None or self._written[1] == _version(self._written[0]):
                    write_whole(path, html.encode())
        except Exception as error:  # see above
            kind = type(error).__name__
            log.warning("no report could be made (%s: %s); try lgm-bench report %s", kind, error, self.path)
            return None
        return path


def report_of(results: Path, out: Path | None = None) -> list[Path]:
    """Write the report of a results folder, and its tables as Markdown and LaTeX beside it; return the paths.

    Args:
        results: Results folder.
        out: HTML file; None: `REPORT` in the folder.

    Raises:
        ResultError: The folder has no finished cell, or a file cannot be written.
    """
    cells = read_results(results)
    folder = results if results.is_dir() else results.parent
    path = out or folder / REPORT
    if path.suffix in (".md", ".tex"):
        raise ResultError(f"{path} would hold the tables; give the HTML file another name with --out")
    shown = [cell.result for cell in cells]
    comparisons = compare_arms(frame_of(shown, cells[0].folder.parent))
    tables = build_tables(frame_of(with_places(shown)))
    html = page(cells, comparisons, tables, title=_title(folder), notes=_left_out(folder, len(cells)))
    markdown, latex = [to_markdown(table) for table in tables], [to_latex(table) for table in tables]
    if comparisons:
        grid = comparison_grid(comparisons)
        markdown.append(grid_to_markdown(grid))
        latex.append(grid_to_latex(grid))
    texts = {path: html, path.with_suffix(".md"): "\n".join(markdown), path.with_suffix(".tex"): "\n".join(latex)}
    for file, text in texts.items():
        save(file, text)
    return list(texts)


def save(path: Path, text: str) -> Path:
    """Write a text file, completely or not at all; return its path.

    Raises:
        ResultError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def with_places(results: Sequence[CellResult]) -> list[CellResult]:
    """Return each result once per table of the shipped suites that shows its cell; unchanged if there is none.

    A cell is computed once even if several tables show it: Tables VIII to X show cells of Table IV.
    """
    bench = load_bench()
    victims = {result.cell.victim.name for result in results}
    places: dict[Cell, dict[tuple[str, ...], None]] = {}
    for cell in (planned.cell for planned in plan(bench, list(bench.suites), full=True)):
        if cell.paper and cell.victim.name in victims:
            places.setdefault(_anywhere(resolved(cell)), {})[cell.paper] = None
    placed = []
    for result in results:
        known = dict.fromkeys([result.cell.paper, *places.get(_anywhere(result.cell), {})])
        tables = [place for place in known if place is not None or len(known) == 1]
        placed += [result.model_copy(update={"cell": result.cell.replace(paper=place)}) for place in tables]
    return placed


def _anywhere(cell: Cell) -> Cell:
    return cell.without("paper", "victim.mean", "victim.std", "victim.checkpoint")


def _left_out(folder: Path, n_found: int) -> list[str]:
    """Return notes on what a results folder contains besides the `n_found` cells that can be shown."""
    n_records, notes = len(list(folder.glob(f"*/{RESULT}"))), []
    if n_records > n_found:
        notes.append(f"{n_records - n_found} results are left out: they are damaged or from another version.")
    running = sorted(path.parent.name for path in folder.glob(f"*/{PARTS}") if not (path.parent / RESULT).exists())
    if running:
        notes.append(f"{len(running)} cells are not finished: {', '.join(running[:3])}{'…' * (len(running) > 3)}.")
    aside = {path.parent.name for path in folder.glob(f"*/*{UNUSABLE}")}
    if aside:
        notes.append(f"Files of {len(aside)} cells were set aside because they could not be used (*{UNUSABLE}).")
    return notes


def _title(folder: Path) -> str:
    return f"lgm-bench: {folder.resolve().name}"


def _version(path: Path) -> tuple[int, int]:
    """Return the identity of a file's current content."""
    state = path.stat()
    return state.st_ino, state.st_mtime_ns


def _limits(cells: Sequence[Cell]) -> str:
    """Return the part of a file name with the limits of the cells, the smallest and the largest one, or nothing."""
    limits = sorted({cell.data.limit for cell in cells if cell.data.limit is not None})
    return f"-limit{'-'.join(map(str, dict.fromkeys([limits[0], limits[-1]])))}" if limits else ""


def _cannot_write(path: Path, error: OSError) -> ResultError:
    return ResultError(
        f"cannot write {path}: {error.strerror or error}; free some space or choose another place with --out"
    )
