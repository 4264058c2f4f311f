"""A leaderboard: the numbers that a suite is expected to give, as typed JSON with a line for each entry.

It is made of records and rows, and not of the frame of results: an entry holds the cell itself and a letter a sample.
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
"""Numbers in a file are rounded."""
SAMPLE_LETTERS = {(True, True): "+", (True, False): "x", (False, False): "-", (False, True): "*"}
"""A sample's letter by whether it is right before and after the attack."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Number(_Strict):
    """A number as a fraction in [0, 1], and by how much another machine's may differ."""

    expected: Annotated[float, Field(ge=0, le=1)]
    tolerance: Annotated[float, Field(ge=0, le=1)]


def _known_names(value: Any) -> Any:
    content = value if isinstance(value, dict) else {}
    kinds = [(Cell, content), *((KINDS[part], content[part]) for part in KINDS if isinstance(content.get(part), dict))]
    for kind, values in kinds:
        names = [one.name for one in fields(kind) if one.name not in NO_IDENTITY]
        for name in values:
            if name not in names:
                raise UnknownNameError("value of a cell", str(name), names)
    return value


class Entry(_Strict):
    """What is expected of one cell.

    Attributes:
        task: Kind of the samples, see `lgm_bench.tasks`.
        cell: What it is, see `identity`; values that are the default's are left out of the file.
        n_samples: Images, shapes or scenes.
        checkpoint_sha256: Of the victim's weights.
        data_sha256: Of the sample ids, in order.
        precision: Of what the victim computed, see `CellResult`.
        git_commit: Of the source tree that measured it; None if it is not known.
        numbers: By the names of the task's figures, with their tolerances.
        samples: Of what is right or wrong, a letter (`SAMPLE_LETTERS`) for each row in the data set's order (targeted:
            for each target of each sample); None where there are no rows.
        scenes: Of what is more or less right, its own figure before and after the attack to three digits.
    """

    task: str
    cell: Annotated[Cell, BeforeValidator(_known_names)]
    n_samples: Annotated[int, Field(ge=1)]
    checkpoint_sha256: str
    data_sha256: str
    precision: str = "float32"
    git_commit: str | None = None
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
    """What is expected of the cells of a suite.

    Attributes:
        suite: Its name.
        version: Of lgm-bench, when the file was last written.
        cells: In the suite's order.
    """

    suite: str
    version: str
    cells: tuple[Entry, ...]


def read_leaderboard(path: Path) -> Leaderboard:
    """Return the content of a file.

    Raises:
        ResultError: There is no such file, or it cannot be read.
        ConfigError: It is not a leaderboard; each misfit is named.
    """
    if is_named_pipe(path):
        raise ResultError(f"{path} is a named pipe; give a file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        there = [other.name for other in path.parent.glob("*.json")] if path.parent.is_dir() else []
        raise ResultError(
            f"no leaderboard {path}{did_you_mean(path.name, there)}; compare --update --suite NAME starts one"
        ) from error
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is not JSON: {error}; it is damaged: take it from git again") from error
    try:
        return check(Leaderboard, content, str(path))
    except UnknownNameError as error:
        raise ConfigError(f"{path}: {error}") from error


def write_leaderboard(path: Path, board: Leaderboard) -> None:
    """Write a file, whole or not at all.

    Raises:
        ResultError: It cannot be written.
    """
    content = board.model_dump(mode="json", exclude_defaults=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (_lines(content) + "\n").encode())
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror or error}; choose another file") from error


def shipped_leaderboards() -> dict[str, Path]:
    """Return the files that come with lgm-bench by the suite that they are named after."""
    return {path.stem: path for path in sorted(resource(FOLDER).glob("*.json"))}


def _lines(value: Any, indent: str = "") -> str:
    """Return JSON in which what holds no mapping is a line, so that a changed number is a changed line."""
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list) or not any(_holds_mapping(one) for one in inner):
        return json.dumps(value)
    deeper = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {_lines(one, deeper)}" for name, one in value.items()]
    else:
        parts = [_lines(one, deeper) for one in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"


def _holds_mapping(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_holds_mapping(one) for one in value))


@dataclass(frozen=True)
class Measured:
    """A finished cell.

    Attributes:
        entry: Its entry for a leaderboard, with default tolerances.
        rows: Name of the sample of each letter of `entry.samples` or pair of `entry.scenes`; empty without rows.
        folder: Its folder.
    """

    entry: Entry
    rows: tuple[str, ...]
    folder: Path


def identity(cell: Cell) -> Cell:
    """Return a cell as it is on any machine: without paths, and without what changes no number."""
    checkpoint = "random" if cell.victim.checkpoint == "random" else None
    return cell.without(*NO_IDENTITY).replace(victim={"checkpoint": checkpoint})


def read_measured(results: Path) -> list[Measured]:
    """Return the finished cells of a results folder, of a cell's folder, or of one result.json.

    If several records have the same cell and precision, as after an update of lgm-bench, the newest counts.

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
    """Return the entry of a finished cell, with its rows and folder.

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
    """Return a record's numbers with their tolerances; docs/leaderboard.md gives the reasons for these."""
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
