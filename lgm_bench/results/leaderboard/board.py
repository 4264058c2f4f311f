"""Leaderboards: the expected numbers of a suite, as typed JSON.

A leaderboard is made from records and rows instead of the frame of results, since an entry contains the cell itself and
one letter per sample.
"""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Self

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lgm_bench.errors import ConfigError, ResultError, UnknownNameError, did_you_mean
from lgm_bench.evaluation.cells.cell import KINDS, NO_IDENTITY, Cell
from lgm_bench.evaluation.cells.config import check
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, ROWS
from lgm_bench.files import is_named_pipe, write_whole
from lgm_bench.resources import resource
from lgm_bench.results.reading import Finished, read_results
from lgm_bench.tasks.base import task_named, task_of

FOLDER = "leaderboard"
DIGITS = 6
ROUNDING = 10**-DIGITS
"""Rounding error of the numbers in a file."""
SAMPLE_LETTERS = {(True, True): "+", (True, False): "x", (False, False): "-", (False, True): "*"}
"""Letter of a sample, by whether it is right before and after the attack."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Number(_Strict):
    """A number as a fraction in [0, 1], and how much another machine's may differ from it."""

    expected: Annotated[float, Field(ge=0, le=1)]
    tolerance: Annotated[float, Field(ge=0, le=1)]


def _known_names(value: Any) -> Any:
    content = value if isinstance(value, dict) else {}
    kinds = [(Cell, content), *((KINDS[part], content[part]) for part in KINDS if isinstance(content.get(part), dict))]
    for kind, values in kinds:
        names = [field.name for field in fields(kind) if field.name not in NO_IDENTITY]
        for name in values:
            if name not in names:
                raise UnknownNameError("value of a cell", str(name), names)
    return value


class Entry(_Strict):
    """Expected results of one cell.

    Attributes:
        task: Name of the task, see `lgm_bench.tasks`.
        cell: The cell, see `identity`; the file leaves out default values.
        n_samples: Number of images, shapes or scenes.
        checkpoint_sha256: Hash of the victim's weights.
        data_sha256: Hash of the sample ids, in order.
        precision: Precision of the victim, see `CellResult`.
        git_commit: Commit of the source tree that measured the cell; None if unknown.
        device: Device that measured the cell, see `CellResult`; None in files from before it was kept.
        numbers: Expected numbers and tolerances by name of the metric.
        samples: One letter (`SAMPLE_LETTERS`) per row, in the order of the data set; in targeted cells one per sample
            and target. None without rows, and for scenes.
        scenes: The main metric of each scene before and after the attack, to three digits; None for other tasks.
    """

    task: str
    cell: Annotated[Cell, BeforeValidator(_known_names)]
    n_samples: Annotated[int, Field(ge=1)]
    checkpoint_sha256: str
    data_sha256: str
    precision: str = "float32"
    git_commit: str | None = None
    device: str | None = None
    numbers: dict[str, Number]
    samples: Annotated[str, Field(pattern=r"^[-+x*]+$")] | None = None
    scenes: tuple[tuple[float | None, float | None], ...] | None = None

    @model_validator(mode="after")
    def _numbers_are_those_of_the_task(self) -> Self:
        known = [metric.name for metric in task_named(self.task).metrics]
        for name in self.numbers:
            if name not in known:
                raise UnknownNameError(f"figure of {self.task}", name, known)
        return self


class Leaderboard(_Strict):
    """Expected results of the cells of a suite.

    Attributes:
        suite: Name of the suite.
        version: Version of lgm-bench that last wrote the file.
        cells: Entries in the order of the suite.
    """

    suite: str
    version: str
    cells: tuple[Entry, ...]


def read_leaderboard(path: Path) -> Leaderboard:
    """Read a leaderboard from a file.

    Raises:
        ResultError: There is no such file, or it cannot be read.
        ConfigError: It is not a leaderboard; the message names each error.
    """
    if is_named_pipe(path):
        raise ResultError(f"{path} is a named pipe; give a file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        names = [other.name for other in path.parent.glob("*.json")] if path.parent.is_dir() else []
        raise ResultError(
            f"no leaderboard {path}{did_you_mean(path.name, names)}; compare --update --suite NAME starts one"
        ) from error
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is not JSON: {error}; give a leaderboard, or restore it from git") from error
    try:
        return check(Leaderboard, content, str(path))
    except UnknownNameError as error:
        raise ConfigError(f"{path}: {error}") from error


def write_leaderboard(path: Path, board: Leaderboard) -> None:
    """Write a leaderboard to a file, completely or not at all.

    Raises:
        ResultError: The file cannot be written.
    """
    content = board.model_dump(mode="json", exclude_defaults=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (_lines(content) + "\n").encode())
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror or error}; choose another file") from error


def shipped_leaderboards() -> dict[str, Path]:
    """Return the leaderboard files that come with lgm-bench, by name of the suite."""
    return {path.stem: path for path in sorted(resource(FOLDER).glob("*.json"))}


def _lines(value: Any, indent: str = "") -> str:
    """Return JSON with one line per value that contains no mapping, so that a changed number changes a single line."""
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list) or not any(_has_mapping(item) for item in inner):
        return json.dumps(value)
    deeper = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {_lines(item, deeper)}" for name, item in value.items()]
    else:
        parts = [_lines(item, deeper) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"


def _has_mapping(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_has_mapping, value)))


@dataclass(frozen=True)
class Measured:
    """A finished cell.

    Attributes:
        entry: Entry for a leaderboard, with default tolerances.
        rows: Name of the sample of each letter in `entry.samples` or pair in `entry.scenes`; empty without rows.
        folder: Folder of the cell.
    """

    entry: Entry
    rows: tuple[str, ...]
    folder: Path


def identity(cell: Cell) -> Cell:
    """Return a cell without paths and other values that differ between machines but change no number."""
    checkpoint = "random" if cell.victim.checkpoint == "random" else None
    return cell.without(*NO_IDENTITY).replace(victim={"checkpoint": checkpoint})


def read_measured(results: Path) -> list[Measured]:
    """Return the finished cells in a results folder, a cell's folder, or one result.json.

    If several records have the same cell and precision, as after an update of lgm-bench, the newest counts.

    Raises:
        ResultError: There are no finished cells, or rows are damaged.
    """
    newest: dict[tuple[Cell, str], Finished] = {}
    for finished in read_results(results):
        newest.setdefault((finished.result.cell.without("paper"), finished.result.precision), finished)
    return [measured(finished) for finished in newest.values()]


def is_one_cell(results: Path) -> bool:
    """Return whether a path belongs to one cell instead of a whole results folder."""
    return results.is_file() or (results / RESULT).exists()


def measured(finished: Finished) -> Measured:
    """Return the entry of a finished cell, with its rows and folder.

    Raises:
        ResultError: The rows are damaged or do not match the record.
    """
    result = finished.result
    table = finished.rows() if (finished.folder / ROWS).exists() else None
    samples, scenes = (None, None) if table is None else (_letters(table), _scenes(table))
    entry = Entry(
        task=result.task,
        cell=identity(result.cell),
        n_samples=result.n_samples,
        checkpoint_sha256=result.checkpoint_sha256,
        data_sha256=result.data_sha256,
        precision=result.precision,
        git_commit=result.git_commit,
        device=result.device,
        numbers=numbers_of(result),
        samples=samples,
        scenes=scenes,
    )
    return Measured(entry, () if table is None else tuple(_names(table)), finished.folder)


def numbers_of(result: CellResult) -> dict[str, Number]:
    """Return a record's numbers with their tolerances; docs/leaderboard.md gives the reasons for these."""
    numbers = {}
    for metric in result.kind.metrics:
        value, n = result.metrics[metric.name], result.n_attacked if metric.per == "attacked" else result.n_attempts
        if metric.tolerance and value is not None:
            tolerance = min(1.0, round(metric.tolerance.of(value, n), DIGITS))
            numbers[metric.name] = Number(expected=round(value, DIGITS), tolerance=tolerance)
    return numbers


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
    """Return the ids of the samples, with the target in targeted cells."""
    ids = [str(sample_id) for sample_id in table.column("id").to_pylist()]
    targets = table.column("target").to_pylist()
    return [name if target is None else f"{name} (target {target})" for name, target in zip(ids, targets, strict=True)]
