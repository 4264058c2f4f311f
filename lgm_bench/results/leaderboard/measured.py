"""From finished cells in a results folder to what a leaderboard says of them."""

import math
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lgm_bench.evaluation.cells.cell import NO_IDENTITY, Cell
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, ROWS
from lgm_bench.results.leaderboard.board import SAMPLE_LETTERS, Entry, Number
from lgm_bench.results.reading import Finished, read_results
from lgm_bench.tasks.base import task_of

DIGITS = 6
ROUNDING = 10**-DIGITS
"""Numbers in a file are rounded."""


@dataclass(frozen=True)
class Measured:
    """A finished cell.

    Attributes:
        entry: What a leaderboard says of it, with default tolerances.
        rows: Name of the sample of each letter of `entry.samples` or pair of `entry.scenes`; empty without rows.
        folder: Where it lies.
    """

    entry: Entry
    rows: tuple[str, ...]
    folder: Path


def identity(cell: Cell) -> Cell:
    """Return what a cell is on any machine: without paths, and without what changes no number."""
    checkpoint = "random" if cell.victim.checkpoint == "random" else None
    return cell.without(*NO_IDENTITY).replace(victim={"checkpoint": checkpoint})


def read_measured(results: Path) -> list[Measured]:
    """Return the finished cells of a results folder, of a cell's folder, or of one result.json.

    Of records of the same cell and precision, as after an update of lgm-bench, the newest counts.

    Raises:
        ResultError: There is nothing, or rows are damaged.
    """
    newest: dict[tuple[Cell, str], Finished] = {}
    for one in read_results(results):
        newest.setdefault((one.result.cell.without("paper"), one.result.precision), one)
    return [measured(one) for one in newest.values()]


def is_one_cell(results: Path) -> bool:
    """Return whether a path is of one cell and not of a results folder."""
    return results.is_file() or (results / RESULT).exists()


def measured(one: Finished) -> Measured:
    """Return what a leaderboard says of a finished cell.

    Raises:
        ResultError: The rows are damaged or not the record's.
    """
    result = one.result
    table = one.rows() if (one.folder / ROWS).exists() else None
    samples, scenes = (None, None) if table is None else (_letters(table), _scenes(table))
    entry = Entry(
        task=result.task,
        cell=identity(result.cell),
        n_samples=result.n_samples,
        checkpoint_sha256=result.checkpoint_sha256,
        data_sha256=result.data_sha256,
        precision=result.precision,
        git_commit=result.git_commit,
        numbers=numbers_of(result),
        samples=samples,
        scenes=scenes,
    )
    return Measured(entry, () if table is None else tuple(_names(table)), one.folder)


def numbers_of(result: CellResult) -> dict[str, Number]:
    """Return a record's numbers with the tolerances that docs/leaderboard.md gives the reasons of."""
    found = {}
    for metric in result.kind.metrics:
        value, n = result.metrics[metric.name], result.n_attacked if metric.per == "attacked" else result.n_attempts
        if metric.tolerance and value is not None:
            tolerance = min(1.0, round(metric.tolerance.of(value, n), DIGITS))
            found[metric.name] = Number(expected=round(value, DIGITS), tolerance=tolerance)
    return found


def _letters(table: pa.Table) -> str | None:
    task = task_of(table)
    main = task.metric(task.main)
    if not main.event:
        return None
    right = (metric.parts(table)[:, 0] > 0 for metric in (task.metric(main.before), main))
    return "".join(SAMPLE_LETTERS[bool(before), bool(after)] for before, after in zip(*right, strict=True))


def _scenes(table: pa.Table) -> tuple[tuple[float | None, float | None], ...] | None:
    task = task_of(table)
    main = task.metric(task.main)
    if main.event:
        return None
    before, after = ([_three_digits(v) for v in table.column(name).to_pylist()] for name in (main.before, main.name))
    return tuple(zip(before, after, strict=True))


def _three_digits(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 3)


def _names(table: pa.Table) -> list[str]:
    """Return the samples' ids, in targeted cells with the target."""
    ids = [str(sample_id) for sample_id in table.column("id").to_pylist()]
    targets = table.column("target").to_pylist()
    return [name if target is None else f"{name} (target {target})" for name, target in zip(ids, targets, strict=True)]
