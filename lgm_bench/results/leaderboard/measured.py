"""From finished cells in a results folder to what a leaderboard says of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import NO_IDENTITY, Cell
from lgm_bench.evaluation.cells.suites import takes_points
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.scene_tally import figures_of
from lgm_bench.evaluation.store.store import RESULT, ROWS
from lgm_bench.results.leaderboard.board import SAMPLE_LETTERS, Entry, Number, Numbers
from lgm_bench.results.reading import Finished, read_results

SHARE, SAMPLES = 0.005, 3
"""Tolerance of a share of samples: half a point, or what three samples make."""
CHANGE, SHARE_OF_CHANGE = 0.002, 0.05
"""Tolerance of the architecture change of images: a fifth of a point, or a twentieth of it."""
CHANGE_OF_CLOUDS = 0.1
"""The same of point clouds, of which rounding may choose another iterate to keep."""
CLEAN_SCENES, ATTACKED_SCENES = 0.005, 0.03
"""Tolerances of the mIoU of scenes, before and after the attack."""
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

    Of records of the same cell, as after an update of lgm-bench, the newest counts.

    Raises:
        ResultError: There is nothing, or rows are damaged.
    """
    newest: dict[Cell, Finished] = {}
    for one in read_results(results):
        newest.setdefault(one.result.cell.without("paper"), one)
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
    numbers = _checked_numbers(one, table)
    entry = Entry(
        cell=identity(result.cell),
        n_samples=result.n_samples,
        checkpoint_sha256=result.checkpoint_sha256,
        data_sha256=result.data_sha256,
        git_commit=result.git_commit,
        numbers=numbers,
        samples=samples,
        scenes=scenes,
    )
    return Measured(entry, () if table is None else tuple(_names(table)), one.folder)


def _checked_numbers(one: Finished, table: pa.Table | None) -> Numbers:
    try:
        numbers = numbers_of(one.result)
    except ValidationError as error:
        value = error.errors()[0]["input"]
        raise ResultError(
            f"{RESULT} in {one.folder} has {value} where a share belongs; delete the folder and run its cell again"
        ) from error
    if table is not None and not _agree(numbers, numbers_of(one.result.model_copy(update=figures_of(table)))):
        raise ResultError(f"{RESULT} and {ROWS} in {one.folder} do not agree; delete it and run its cell again")
    return numbers


def _agree(first: Numbers, second: Numbers) -> bool:
    pairs = ((getattr(first, name), getattr(second, name)) for name in Numbers.model_fields)
    return all(a is b or (a and b and math.isclose(a.expected, b.expected, abs_tol=ROUNDING)) for a, b in pairs)


def numbers_of(result: CellResult) -> Numbers:
    """Return a record's numbers with the tolerances that docs/leaderboard.md gives the reasons of."""
    change = result.architecture_change
    tolerance = (
        CHANGE_OF_CLOUDS if takes_points(result.cell.attack.name) else max(CHANGE, SHARE_OF_CHANGE * (change or 0))
    )
    found = {} if change is None else {"architecture_change": _number(change, tolerance)}
    if result.segmentation:
        found["clean_miou"] = _number(result.segmentation.clean_miou, CLEAN_SCENES)
        found["miou"] = _number(result.segmentation.miou, ATTACKED_SCENES)
        return Numbers(**found)
    found["clean_accuracy"] = _number(result.clean_accuracy, _of_samples(result.n_attempts))
    found["accuracy"] = _number(result.accuracy, _of_samples(result.n_attempts))
    if result.success_rate is not None:
        found["success_rate"] = _number(result.success_rate, _of_samples(result.n_attacked))
    return Numbers(**found)


def _of_samples(count: int) -> float:
    return max(SHARE, SAMPLES / count)


def _number(value: float, tolerance: float) -> Number:
    return Number(expected=round(value, DIGITS), tolerance=min(1.0, round(tolerance, DIGITS)))


def _letters(table: pa.Table) -> str | None:
    if "confusion" in table.column_names:
        return None
    before = [clean == label for clean, label in zip(*_columns(table, "clean_prediction", "label"), strict=True)]
    after = table.column("correct").to_pylist()
    return "".join(SAMPLE_LETTERS[both] for both in zip(before, after, strict=True))


def _scenes(table: pa.Table) -> tuple[tuple[float | None, float | None], ...] | None:
    if "confusion" not in table.column_names:
        return None
    before, after = ([_three_digits(value) for value in column] for column in _columns(table, "clean_miou", "miou"))
    return tuple(zip(before, after, strict=True))


def _three_digits(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 3)


def _columns(table: pa.Table, *names: str) -> Sequence[list[float]]:
    return [table.column(name).to_pylist() for name in names]


def _names(table: pa.Table) -> list[str]:
    """Return the samples' ids, in targeted cells with the target."""
    ids = [str(sample_id) for sample_id in table.column("id").to_pylist()]
    if "target" not in table.column_names:
        return ids
    targets = table.column("target").to_pylist()
    return [name if target is None else f"{name} (target {target})" for name, target in zip(ids, targets, strict=True)]
