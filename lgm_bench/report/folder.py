"""What lies beside the cells in a results folder: tables, comparisons, the report."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.runner import RunResults
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.files import write_whole
from lgm_bench.results.statistics import Comparison, compare_arms
from lgm_bench.results.tables.arms_table import comparisons_to_latex, comparisons_to_markdown
from lgm_bench.results.tables.table import Table
from lgm_bench.results.tables.table_formats import to_latex, to_markdown
from lgm_bench.results.tables.tables import build_tables, table_of

LOCK, LOCK_SECONDS = ".tables.lock", 120.0
COMPARISONS = "comparisons"


class ResultsFolder:
    """A results folder that several runs may write into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._latest: _Version | None = None

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Keep other runs from writing here until the block is left.

        Raises:
            ResultError: The folder cannot be made, or another run does not stop writing.
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
        """Return the results' tables after writing them: Markdown and LaTeX, and one CSV file of all cells.

        The file names of limited runs say so, so that a quick look never replaces a full table.

        Args:
            results: What the tables show.
            cells: All cells that belong into them, finished or not: a file is called the same all the while that it
                fills. None: those of the results.

        Raises:
            ResultError: The results folder cannot be written.
        """
        from lgm_bench.results.frame import frame_of

        cells = [result.cell for result in results] if cells is None else cells
        tables = build_tables(results)
        for table in tables:
            suffix = _limits([cell for cell in cells if table_of(cell) == table.name])
            self.save(f"{table.name}{suffix}.md", to_markdown(table))
            self.save(f"{table.name}{suffix}.tex", to_latex(table))
        lines = frame_of(results).to_csv(index=False, lineterminator="\n")
        self._latest = _Version.of(self.save(f"results{_limits(cells)}.csv", lines))
        return tables

    def write_comparisons(self, results: Sequence[CellResult], cells: Sequence[Cell]) -> list[Comparison]:
        """Return each arm against its baseline after writing them as Markdown and LaTeX, if there are any.

        Args:
            results: Finished cells of the results folder.
            cells: As for `write_tables`.

        Raises:
            ResultError: The results folder cannot be written.
        """
        comparisons = compare_arms(results, self.path)
        if comparisons:
            name = f"{COMPARISONS}{_limits(cells)}"
            self.save(f"{name}.md", comparisons_to_markdown(comparisons))
            self.save(f"{name}.tex", comparisons_to_latex(comparisons))
        return comparisons

    def write_report(
        self, results: RunResults, comparisons: Sequence[Comparison], unfinished: Sequence[Cell]
    ) -> Path | None:
        """Write the report of results; return its path, or None if it failed.

        It takes seconds, in which another run may write tables of more cells, and has to write their report too.
        """
        from lgm_bench.report.writing import report_of_run

        def write(path: Path, content: bytes) -> None:
            with self.only_writer():
                if self._latest is None or self._latest == _Version.of(self._latest.path):
                    write_whole(path, content)

        return report_of_run(results, self.path, comparisons, results.failures, unfinished, write)

    def save(self, name: str, text: str) -> Path:
        """Write a text file whole or not at all; return its path.

        Raises:
            ResultError: It cannot be written.
        """
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text.encode())
        except OSError as error:
            raise _cannot_write(path, error) from error
        return path


class _Version(NamedTuple):
    """A file as it is now, which is another one as soon as somebody has written it again."""

    path: Path
    inode: int
    time: int

    @classmethod
    def of(cls, path: Path) -> "_Version":
        """Look at a file."""
        state = path.stat()
        return cls(path, state.st_ino, state.st_mtime_ns)


def _limits(cells: Sequence[Cell]) -> str:
    """Return the part of a file's name that tells the limits of its cells, or nothing."""
    limits = sorted({cell.data.limit for cell in cells if cell.data.limit is not None})
    return "".join(f"-limit{limit}" for limit in limits)


def _cannot_write(path: Path, error: OSError) -> ResultError:
    return ResultError(
        f"cannot write {path}: {error.strerror or error}; free some space or choose another folder with --out"
    )
