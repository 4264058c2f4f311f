"""Finding the missing data sets and checkpoints of cells."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datamodules import DATAMODULES, MARKS
from datamodules.location import how_to_choose
from lgm_bench.errors import CheckpointError, DataError, UnknownNameError, never_exiting
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.suites import Planned
from lgm_bench.evaluation.engine.materials import build_data
from victims.checkpoints import default_checkpoint, how_to_get
from victims.names import VICTIMS

DATA, CHECKPOINT = "data set", "checkpoint"


@dataclass(frozen=True)
class Gap:
    """A data set or a checkpoint that is missing.

    Attributes:
        kind: `DATA` or `CHECKPOINT`.
        name: Name of the data set or the victim.
        what: What is missing, where to get it and where to put it.
        brief: The same in short, without the general advice about data sets or checkpoints.
        cells: The cells that cannot run without it.
        optional: Whether all these cells may be left out.
    """

    kind: str
    name: str
    what: str
    brief: str
    cells: tuple[Cell, ...] = ()
    optional: bool = True


@dataclass
class Findings:
    """What `look` found about the data sets and checkpoints of some cells.

    Attributes:
        gaps: The missing data sets and checkpoints.
        sizes: Number of samples by (data set, subset), for the data sets that are present.
    """

    gaps: list[Gap] = field(default_factory=list)
    sizes: dict[tuple[str, str], int] = field(default_factory=dict)


def look(planned: Sequence[Planned], data_root: str | None = None, *, known: Container[str] = ()) -> Findings:
    """Return which data sets and checkpoints of cells are present and which are missing; nothing is computed.

    Args:
        planned: The cells.
        data_root: As for `run_cells`.
        known: Names of generated data sets to skip, since making one may take a while.
    """
    findings = Findings()
    gaps: dict[tuple[str | None, ...], Gap | None] = {}
    needed: dict[Gap, list[Planned]] = {}
    for entry in planned:
        cell = entry.cell
        data = (DATA, cell.data.name, cell.data.subset)
        checkpoint = (CHECKPOINT, cell.victim.name, cell.victim.checkpoint)
        if data not in gaps:
            granted = cell.data.name in known and cell.data.name in DATAMODULES and cell.data.name not in MARKS
            gaps[data] = None if granted else _data(cell, data_root, findings.sizes)
        if checkpoint not in gaps:
            gaps[checkpoint] = _checkpoint(cell)
        for gap in (gaps[data], gaps[checkpoint]):
            if gap:
                needed.setdefault(gap, []).append(entry)
    for gap, entries in needed.items():
        optional = all(entry.optional for entry in entries)
        findings.gaps.append(replace(gap, cells=tuple(entry.cell for entry in entries), optional=optional))
    return findings


def _data(cell: Cell, data_root: str | None, sizes: dict[tuple[str, str], int]) -> Gap | None:
    try:
        with never_exiting(f"data set {cell.data.name!r}"):
            datamodule = build_data(cell.data, data_root, 1)
            datamodule.setup("test")
            sizes[cell.data.name, cell.data.subset] = len(datamodule.subset_ids())
    except (DataError, OSError) as error:
        brief = str(error).removesuffix(how_to_choose(cell.data.name)).strip()
        return Gap(DATA, cell.data.name, f"data set {cell.data.name}: {error}", brief)
    except UnknownNameError:
        raise
    except Exception:
        return None  # nothing is missing; the run reports the error
    return None


def _checkpoint(cell: Cell) -> Gap | None:
    if cell.victim.checkpoint is None:
        try:
            if cell.victim.name in VICTIMS:
                default_checkpoint(cell.victim.name)
        except CheckpointError as error:
            return Gap(CHECKPOINT, cell.victim.name, str(error), how_to_get(cell.victim.name))
    elif cell.victim.checkpoint != "random" and not Path(cell.victim.checkpoint).is_file():
        text = f"there is no checkpoint file {cell.victim.checkpoint}; correct its path or put it there"
        return Gap(CHECKPOINT, cell.victim.name, f"{cell.victim.name}: {text}", text)
    return None
