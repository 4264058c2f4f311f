"""Reading the finished cells of a results folder and their rows, without pandas and PyTorch, so that it starts fast."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from lgm_bench.errors import ResultError, did_you_mean
from lgm_bench.evaluation.cells.cell import KINDS, Cell
from lgm_bench.evaluation.store.files import ContradictionError, UnusableError, read_part
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, ROWS, CellStore, ids_sha256, newest_first, read_record
from lgm_bench.files import is_named_pipe

log = logging.getLogger(__name__)

Line = dict[str, Any]
"""A line of the table of results (`frame.results`) by column; None for missing values."""
IDENTITY = (
    *(part if field.name == "name" else field.name for part, kind in KINDS.items() for field in fields(kind)),
    "protocol",
)
"""Columns that say what was run."""
BASELINE = "fgm"
"""Default gradient to compare others with."""
SHORTEST, MOST_LISTED = 4, 10
"""Fewest digits of a fingerprint that find a cell, and most names that an error lists."""


def baseline_of(named: Iterable[str | None]) -> str:
    """Return the gradient to compare with: the first baseline that a cell names, else `BASELINE`."""
    return next(filter(None, named), BASELINE)


def in_order(gradients: Iterable[str], baseline: str = BASELINE) -> list[str]:
    """Return the distinct gradients, the baseline first and the others in their order.

    >>> in_order(["lgm", "soft", "fgm", "lgm"])
    ['fgm', 'lgm', 'soft']
    """
    return sorted(dict.fromkeys(gradients), key=lambda name: name != baseline)


def alike(lines: Iterable[Line], *but: str, also: Sequence[str] = ()) -> list[list[Line]]:
    """Return groups of lines that agree in `IDENTITY` without the columns `but`, and in the columns `also`."""
    columns = [*(name for name in IDENTITY if name not in but), *also]
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(tuple(line[name] for name in columns), []).append(line)
    return list(groups.values())


@dataclass(frozen=True)
class Finished:
    """A finished cell and its folder."""

    folder: Path
    result: CellResult

    def rows(self) -> pa.Table:
        """Return the rows, with the schema of their task.

        Raises:
            ResultError: The rows are missing or damaged, or do not match the record.
        """
        return read_rows(self.folder, self.result.fingerprint, self.result.data_sha256)


def read_rows(folder: Path, fingerprint: str, data_sha256: str) -> pa.Table:
    """Return the rows in a cell's folder and check them against the hashes of its record.

    Raises:
        ResultError: The rows are missing or damaged, or do not match the record.
    """
    path = folder / ROWS
    try:
        table = read_part(path, fingerprint, None).rows
    except UnusableError as error:
        raise ResultError(f"{path} cannot be used: {error}; delete {folder} and run again") from error
    ids = list(dict.fromkeys(table.column("id").to_pylist()))
    if ids_sha256(ids) != data_sha256:
        raise ResultError(f"{path} has other samples than the {RESULT} beside it; delete the folder and run again")
    return table


def located(results: Iterable[CellResult], out: Path) -> list[Finished]:
    """Return results with their folders in a results folder."""
    return [Finished(CellStore(out, result.cell.title, result.fingerprint).folder, result) for result in results]


def read_results(path: Path) -> list[Finished]:
    """Return the finished cells of a results folder; among equal cells the newest comes first.

    Records that are damaged or from another version are left out; the log names them. The path may also be the folder
    of one cell, or its `result.json`.

    Raises:
        ResultError: There is no finished cell, or a record contradicts its rows.
    """
    require_there(path)
    if path.is_file():
        records = [path]
    else:
        records = [path / RESULT] if (path / RESULT).exists() else list(path.glob(f"*/{RESULT}"))
    finished = [cell for record in newest_first(records) if (cell := _read(record)) is not None]
    if not finished:
        reason = f"{len(records)} that cannot be read" if records else "none"
        raise ResultError(f"{path} has no finished cells ({reason}); give the folder of `lgm-bench run --out`")
    return sorted(finished, key=_order)


def require_there(path: Path) -> None:
    """Check that a results folder or a record exists.

    Raises:
        ResultError: It does not (the message suggests the most similar name), or it is a named pipe.
    """
    if is_named_pipe(path):
        raise ResultError(f"{path} is a named pipe; give a results folder")
    if not path.exists():
        siblings = [other.name for other in path.parent.iterdir() if other.is_dir()] if path.parent.is_dir() else []
        raise ResultError(f"there is no results folder {path}{did_you_mean(path.name, siblings)}")


def find_cell(cells: Sequence[Finished], text: str) -> Finished:
    """Return the cell with a given folder name, beginning of a fingerprint, or words of its folder name.

    Words are separated by spaces, such as "dynconv8 eps8/255 lgm".

    Raises:
        ResultError: No cell matches, or several, which the message lists.
    """
    name = Path(text.rstrip("/")).name
    exact = [cell for cell in cells if name in (cell.folder.name, cell.result.fingerprint)]
    starting = [cell for cell in cells if len(name) >= SHORTEST and cell.result.fingerprint.startswith(name)]
    words = set(text.lower().replace("/", "_").split())
    containing = [cell for cell in cells if all(word in cell.folder.name.lower() for word in words)]
    whole = [cell for cell in containing if words <= set(cell.folder.name.lower().split("-"))]
    chosen = exact or starting or whole or containing
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise ResultError(f"there is no cell {text!r} here{did_you_mean(text, (cell.folder.name for cell in cells))}")
    listed = ", ".join(cell.folder.name for cell in chosen[:MOST_LISTED])
    more = f", and {len(chosen) - MOST_LISTED} more" if len(chosen) > MOST_LISTED else ""
    raise ResultError(f"{text!r} means {len(chosen)} cells: {listed}{more}; give more words of the folder name")


def _read(path: Path) -> Finished | None:
    try:
        return Finished(path.parent, read_record(path))
    except ContradictionError as error:
        raise ResultError(f"{path} contradicts its rows: {error}; delete the folder and run its cell again") from error
    except (UnusableError, ResultError) as error:
        log.warning("%s is not used: %s", getattr(error, "path", path), error)
        return None


def _order(finished: Finished) -> tuple[object, ...]:
    cell: Cell = finished.result.cell
    attack, gradient = cell.attack, cell.gradient.name
    attacked = (attack.name, -attack.valid_pixels, attack.targeted, attack.eps)
    return cell.data.name, cell.victim.name, *attacked, gradient != baseline_of([cell.baseline]), gradient
