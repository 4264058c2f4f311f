"""What is missing before cells can run: data sets and checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules import load_datamodule
from lgm_bench.bench.cells.cell import Cell
from lgm_bench.bench.cells.suites import Planned
from lgm_bench.errors import CheckpointError, ConfigError, DataError
from victims.checkpoints import default_checkpoint
from victims.names import VICTIMS


@dataclass(frozen=True)
class Gap:
    """Something that is not there.

    Attributes:
        what: What is missing, where to get it and where to put it.
        cells: The cells that cannot run without it.
        optional: Whether all of them may be left out.
    """

    what: str
    cells: tuple[Cell, ...]
    optional: bool


def find_gaps(planned: Sequence[Planned], data_root: str | None = None) -> list[Gap]:
    """Return what is missing for some cells; nothing is computed.

    Args:
        planned: The cells.
        data_root: As for `run_cells`.
    """
    missing: dict[str, list[Planned]] = {}
    problems: dict[tuple[str | None, ...], str | None] = {}
    for one in planned:
        cell = one.cell
        data, checkpoint = ("data", cell.data, cell.subset), ("checkpoint", cell.victim, cell.checkpoint)
        if data not in problems:
            problems[data] = _data(cell, data_root)
        if checkpoint not in problems:
            problems[checkpoint] = _checkpoint(cell)
        for problem in (problems[data], problems[checkpoint]):
            if problem is not None:
                missing.setdefault(problem, []).append(one)
    return [
        Gap(what, tuple(one.cell for one in found), all(one.optional for one in found))
        for what, found in missing.items()
    ]


def _data(cell: Cell, data_root: str | None) -> str | None:
    try:
        load_datamodule(cell.data, data_root=data_root, batch_size=1, subset=cell.subset).setup("test")
    except (DataError, ConfigError) as error:
        return f"data set {cell.data}: {error}"
    return None


def _checkpoint(cell: Cell) -> str | None:
    if cell.checkpoint is None:
        try:
            if cell.victim in VICTIMS:
                default_checkpoint(cell.victim)
        except CheckpointError as error:
            return str(error)
    elif cell.checkpoint != "random" and not Path(cell.checkpoint).is_file():
        return f"{cell.victim}: there is no checkpoint file {cell.checkpoint}; correct its path or put it there"
    return None
