"""Reading a results folder: its finished cells, their rows, and which of them belong together.

Nothing here needs pandas or PyTorch, so that commands that only read start at once.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from lgm_bench.errors import ResultError, did_you_mean
from lgm_bench.evaluation.cells.cell import KINDS, Cell
from lgm_bench.evaluation.store.part_files import ContradictionError, UnusableError, read_part
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, ROWS, CellStore, ids_sha256, newest_first, read_record
from lgm_bench.files import is_named_pipe

log = logging.getLogger(__name__)

Line = dict[str, Any]
"""A line of the table of results (`frame.results`) by column; None where it has no value."""
IDENTITY = (
    *(part if one.name == "name" else one.name for part, kind in KINDS.items() for one in fields(kind)),
    "protocol",
)
"""Columns that say what was run."""
BASELINE = "fgm"
"""The gradient that others are compared with, where it is among them and their cells name no other."""
SHORTEST, MOST_LISTED = 4, 10
"""Digits of a fingerprint that are enough to find a cell, and names that an error lists at most."""


def baseline_of(named: Iterable[str | None]) -> str:
    """Return the gradient to compare with: the first that cells name as their baseline, else `BASELINE`."""
    return next(filter(None, named), BASELINE)


def in_order(gradients: Iterable[str], baseline: str = BASELINE) -> list[str]:
    """Return the distinct gradients, the baseline first and the others as they come.

    >>> in_order(["lgm", "soft", "fgm", "lgm"])
    ['fgm', 'lgm', 'soft']
    """
    return sorted(dict.fromkeys(gradients), key=lambda name: name != baseline)


def alike(lines: Iterable[Line], *but: str, also: Sequence[str] = ()) -> list[list[Line]]:
    """Return together the lines of cells that are the same but for some columns; those of `also` count too."""
    columns = [*(name for name in IDENTITY if name not in but), *also]
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(tuple(line[name] for name in columns), []).append(line)
    return list(groups.values())


@dataclass(frozen=True)
class Finished:
    """A finished cell and the folder that it lies in."""

    folder: Path
    result: CellResult

    def rows(self) -> pa.Table:
        """Return the rows, with the schema of their task.

        Raises:
            ResultError: They are missing, damaged, or not those that the record is of.
        """
        return read_rows(self.folder, self.result.fingerprint, self.result.data_sha256)


def read_rows(folder: Path, fingerprint: str, data_sha256: str) -> pa.Table:
    """Return the rows in the folder of the cell with these hashes; see `Finished.rows`.

    Raises:
        ResultError: They are missing, damaged, or not those that the record is of.
    """
    path = folder / ROWS
    try:
        table = read_part(path, fingerprint, None).rows
    except UnusableError as error:
        raise ResultError(f"{path} cannot be used: {error}; delete {folder} and run again") from error
    ids = list(dict.fromkeys(table.column("id").to_pylist()))
    if ids_sha256(ids) != data_sha256:
        raise ResultError(f"{path} is of other samples than {RESULT} beside it; delete the folder and run again")
    return table


def located(results: Iterable[CellResult], out: Path) -> list[Finished]:
    """Return results with the folders that they have in a results folder."""
    return [Finished(CellStore(out, one.cell.title, one.fingerprint).folder, one) for one in results]


def read_results(path: Path) -> list[Finished]:
    """Return the finished cells of a results folder, the newest of each kind first.

    The log names records that are damaged or of another version; they are left out.

    Args:
        path: A results folder, the folder of one cell, or its `result.json`.

    Raises:
        ResultError: There is none, or a record does not say what its rows say.
    """
    require_there(path)
    if path.is_file():
        records = [path]
    else:
        records = [path / RESULT] if (path / RESULT).exists() else list(path.glob(f"*/{RESULT}"))
    newest = newest_first(records)
    found = [one for record in newest if (one := _read(record)) is not None]
    if not found:
        reason = f"{len(records)} that cannot be read" if records else "none"
        raise ResultError(
            f"{path} has no finished cells ({reason}); give the folder that `lgm-bench run --out` has written to"
        )
    return sorted(found, key=_order)


def require_there(path: Path) -> None:
    """Check that a results folder or a record is there.

    Raises:
        ResultError: It is not there (the message has the nearest name), or is a named pipe.
    """
    if is_named_pipe(path):
        raise ResultError(f"{path} is a named pipe; give a results folder")
    if not path.exists():
        siblings = [other.name for other in path.parent.iterdir() if other.is_dir()] if path.parent.is_dir() else []
        raise ResultError(f"there is no results folder {path}{did_you_mean(path.name, siblings)}")


def find_cell(found: Sequence[Finished], text: str) -> Finished:
    """Return the cell with this folder name, beginning of a fingerprint, or words of a folder's name.

    Words are separated by spaces, such as "dynconv8 eps8/255 lgm".

    Raises:
        ResultError: There is none, or several; they are listed.
    """
    name = Path(text.rstrip("/")).name
    exact = [one for one in found if name in (one.folder.name, one.result.fingerprint)]
    starting = [one for one in found if len(name) >= SHORTEST and one.result.fingerprint.startswith(name)]
    words = set(text.lower().replace("/", "_").split())
    named = [one for one in found if all(word in one.folder.name.lower() for word in words)]
    whole = [one for one in named if words <= set(one.folder.name.lower().split("-"))]
    chosen = exact or starting or whole or named
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise ResultError(f"there is no cell {text!r} here{did_you_mean(text, (one.folder.name for one in found))}")
    listed = ", ".join(one.folder.name for one in chosen[:MOST_LISTED])
    more = f", and {len(chosen) - MOST_LISTED} more" if len(chosen) > MOST_LISTED else ""
    raise ResultError(f"{text!r} means {len(chosen)} cells: {listed}{more}; give more words of the folder's name")


def _read(path: Path) -> Finished | None:
    try:
        return Finished(path.parent, read_record(path))
    except ContradictionError as error:
        raise ResultError(f"{path} is not to be believed: {error}; delete the folder and run its cell again") from error
    except (UnusableError, ResultError) as error:
        log.warning("%s is not used: %s", getattr(error, "path", path), error)
        return None


def _order(one: Finished) -> tuple[object, ...]:
    cell: Cell = one.result.cell
    attack, gradient = cell.attack, cell.gradient.name
    attacked = (attack.name, -attack.valid_pixels, attack.targeted, attack.eps)
    return cell.data.name, cell.victim.name, *attacked, gradient != baseline_of([cell.baseline]), gradient
