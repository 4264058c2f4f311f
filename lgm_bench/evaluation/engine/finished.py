"""Finding the results of cells that other runs have computed in the same folder."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lgm_bench.errors import LgmBenchError, ResultError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import (
    build_data,
    build_victim,
    normalization,
    resolved,
    weights_sha256,
)
from lgm_bench.evaluation.engine.fingerprint import Basis, own_sources
from lgm_bench.evaluation.store.part_files import UnusableError
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, folder_name, ids_sha256, newest_first, read_record

log = logging.getLogger(__name__)


def finished_results(
    cells: Sequence[Cell],
    out: Path,
    *,
    known: Mapping[Cell, CellResult] | None = None,
    data_root: Path | str | None = None,
    **setting: str,
) -> dict[Cell, CellResult]:
    """Return the results of those cells that are finished in a folder, by cell and in the cells' order.

    A record counts if it is whole, of this version and of the very cell. Where the victim's weights, the samples and
    code of the user's own are at hand it has to be theirs; where they are not, as on a machine that only collects
    results, the newest counts.

    Args:
        cells: What is looked for.
        out: Results folder.
        known: Results that need not be looked for, by cell.
        data_root: As for `run_cells`.
        setting: As for `Basis.fingerprint`.
    """
    known = known or {}
    wanted = {cell: _key(resolved(cell)) for cell in cells if cell not in known}
    keys = set(wanted.values())
    stored: dict[Cell, list[CellResult]] = {}
    for result in _records(out, setting) if keys else ():
        if _key(result.cell) in keys:
            stored.setdefault(_key(result.cell), []).append(result)
    at_hand = _AtHand(known.values(), data_root)
    found = {}
    for cell in cells:
        others = (result for result in stored.get(wanted.get(cell, cell), ()) if at_hand.fits(cell, result))
        match = known.get(cell) or next(others, None)
        if match is not None:
            place = {"paper": cell.paper, "baseline": cell.baseline}
            found[cell] = match.model_copy(update={"cell": match.cell.replace(**place)})
    return found


def changed_since(cell: Cell, basis: Basis, out: Path) -> list[str]:
    """Return in words what has changed since a folder's latest result of a cell; nothing where there is none.

    Args:
        cell: The cell with all its defaults.
        basis: What its result stands on now.
        out: Results folder.
    """
    for path in newest_first(out.glob(f"{folder_name(cell.title)}-*/{RESULT}")):
        try:
            result = read_record(path)
        except (UnusableError, ResultError):
            continue
        if _key(result.cell) == _key(cell):
            return basis.changes(Basis.of(result), cell)
    return []


def _key(cell: Cell) -> Cell:
    """Return what a cell that was asked for and its record have in common; the victim fills in mean and std."""
    return cell.without("victim.mean", "victim.std", "paper")


def _records(out: Path, setting: dict[str, str]) -> Iterator[CellResult]:
    """Yield the whole records of this version in a folder, the newest first."""
    for path in newest_first(out.glob(f"*/{RESULT}")):
        try:
            result = read_record(path)
        except UnusableError as error:
            log.warning("%s is not used: %s", error.path, error)
            continue
        expected = Basis.of(result).fingerprint(result.cell, **setting)
        if expected == result.fingerprint and path.parent.name.endswith(f"-{expected}"):
            yield result


class _AtHand:
    """Weights, samples and code that are at hand; loaded once each, and only if a record has to be compared."""

    def __init__(self, known: Iterable[CellResult], data_root: Path | str | None) -> None:
        self.data_root = data_root
        self._found: dict[tuple[object, ...], object] = {
            (one.cell.data,): (one.data_sha256, one.content_sha256) for one in known
        }

    def fits(self, cell: Cell, result: CellResult) -> bool:
        """Return whether a record is of the weights, the normalization, the samples and the code that a cell names."""
        mean, std = result.cell.victim.mean, result.cell.victim.std
        if (cell.victim.mean or mean, cell.victim.std or std) != (mean, std):
            return False
        victim = self._look((cell.victim, cell.attack.seed), lambda: _seen(cell))
        samples = self._look((cell.data,), lambda: self._samples(cell))
        sources = self._look((cell,), lambda: own_sources(cell))
        return (
            victim in (None, (result.checkpoint_sha256, mean, std))
            and samples in (None, (result.data_sha256, result.content_sha256))
            and sources in (None, result.sources)
        )

    def _samples(self, cell: Cell) -> tuple[str, str]:
        datamodule = build_data(cell, self.data_root, None)
        datamodule.setup("test")
        return ids_sha256(list(datamodule.sample_ids())), datamodule.content_sha256()

    def _look(self, key: tuple[object, ...], compute: Callable[[], object]) -> object:
        if key not in self._found:
            try:
                self._found[key] = compute()
            except LgmBenchError:
                self._found[key] = None
            except Exception:  # a victim of a user's own that cannot be built any more: its records fit nothing
                self._found[key] = ""
        return self._found[key]


def _seen(cell: Cell) -> tuple[object, ...]:
    """Return what a record says of a cell's victim."""
    victim = build_victim(cell)
    return (weights_sha256(victim), *normalization(cell, victim))
