"""A leaderboard: the numbers that a suite is expected to give, as typed JSON that reads well as a difference."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lgm_bench.errors import ConfigError, ResultError, UnknownNameError, did_you_mean
from lgm_bench.evaluation.cells.cell import KINDS, NO_IDENTITY, Cell
from lgm_bench.evaluation.cells.config import check
from lgm_bench.files import write_whole
from lgm_bench.resources import resource
from lgm_bench.tasks.base import task_named

FOLDER = "leaderboard"
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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        there = [other.name for other in path.parent.glob("*.json")] if path.parent.is_dir() else []
        raise ResultError(
            f"no leaderboard {path}{did_you_mean(path.name, there)}; compare --update --suite NAME starts one"
        ) from error
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
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
