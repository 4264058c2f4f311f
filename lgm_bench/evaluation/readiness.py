"""What is missing before cells can run: data sets and checkpoints."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datamodules import DATAMODULES, MARKS
from datamodules.location import how_to_choose
from lgm_bench.errors import CheckpointError, ConfigError, DataError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.suites import Planned
from lgm_bench.evaluation.engine.materials import build_data
from victims.checkpoints import default_checkpoint, how_to_get
from victims.names import VICTIMS

DATA, CHECKPOINT = "data set", "checkpoint"


@dataclass(frozen=True)
class Gap:
    """Something that is not there.

    Attributes:
        kind: `DATA` or `CHECKPOINT`.
        name: The data set's or the victim's.
        what: What is missing, where to get it and where to put it, in full.
        brief: The same without what holds for everything of its kind.
        cells: The cells that cannot run without it.
        optional: Whether all of them may be left out.
    """

    kind: str
    name: str
    what: str
    brief: str
    cells: tuple[Cell, ...]
    optional: bool


@dataclass
class Findings:
    """What is there for some cells.

    Attributes:
        gaps: What is missing.
        sizes: (data set, subset) to its number of samples, where they are there.
    """

    gaps: list[Gap] = field(default_factory=list)
    sizes: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Problem:
    kind: str
    name: str
    what: str
    brief: str


def find_gaps(planned: Sequence[Planned], data_root: str | None = None) -> list[Gap]:
    """Return what is missing for some cells; nothing is computed.

    Args:
        planned: The cells.
        data_root: As for `run_cells`.
    """
    return look(planned, data_root).gaps


def look(planned: Sequence[Planned], data_root: str | None = None, *, known: Container[str] = ()) -> Findings:
    """Return what is there for some cells and what is missing.

    Args:
        planned: The cells.
        data_root: As for `run_cells`.
        known: Data sets that are not looked at if they need not be brought: that may take the time to make them.
    """
    findings = Findings()
    needed: dict[_Problem, list[Planned]] = {}
    problems: dict[tuple[str | None, ...], _Problem | None] = {}
    for one in planned:
        cell = one.cell
        data, checkpoint = (
            (DATA, cell.data.name, cell.data.subset),
            (CHECKPOINT, cell.victim.name, cell.victim.checkpoint),
        )
        if data not in problems:
            passed = cell.data.name in known and _is_generated(cell.data.name)
            problems[data] = None if passed else _data(cell, data_root, findings.sizes)
        if checkpoint not in problems:
            problems[checkpoint] = _checkpoint(cell)
        for problem in (problems[data], problems[checkpoint]):
            if problem is not None:
                needed.setdefault(problem, []).append(one)
    for problem, found in needed.items():
        cells, optional = tuple(one.cell for one in found), all(one.optional for one in found)
        findings.gaps.append(Gap(problem.kind, problem.name, problem.what, problem.brief, cells, optional))
    return findings


def _is_generated(data: str) -> bool:
    return data in DATAMODULES and data not in MARKS


def _data(cell: Cell, data_root: str | None, sizes: dict[tuple[str, str], int]) -> _Problem | None:
    try:
        datamodule = build_data(cell, data_root, 1)
        datamodule.setup("test")
        sizes[cell.data.name, cell.data.subset] = len(datamodule.subset_ids())
    except (DataError, ConfigError) as error:
        brief = str(error).removesuffix(how_to_choose(cell.data.name)).strip()
        return _Problem(DATA, cell.data.name, f"data set {cell.data.name}: {error}", brief)
    return None


def _checkpoint(cell: Cell) -> _Problem | None:
    if cell.victim.checkpoint is None:
        try:
            if cell.victim.name in VICTIMS:
                default_checkpoint(cell.victim.name)
        except CheckpointError as error:
            return _Problem(CHECKPOINT, cell.victim.name, str(error), how_to_get(cell.victim.name))
    elif cell.victim.checkpoint != "random" and not Path(cell.victim.checkpoint).is_file():
        text = f"there is no checkpoint file {cell.victim.checkpoint}; correct its path or put it there"
        return _Problem(CHECKPOINT, cell.victim.name, f"{cell.victim.name}: {text}", text)
    return None
