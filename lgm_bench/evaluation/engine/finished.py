"""Results of earlier runs in the same folder: what they stand on, and whether that is still the same."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lgm_bench import __version__
from lgm_bench.errors import ConfigError, LgmBenchError, ResultError, never_exiting
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.engine.materials import build_data, build_victim, normalization, weights_sha256
from lgm_bench.evaluation.engine.place import SINGLE
from lgm_bench.evaluation.store.part_files import UnusableError
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, folder_name, ids_sha256, newest_first, read_record
from lgm_bench.sources import is_there, source_files
from lgm_bench.sparse.backends import NATIVE

log = logging.getLogger(__name__)

USUAL = {"backend": NATIVE, "precision": SINGLE}
"""Settings that leave no trace in a fingerprint."""

_OWN = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Basis:
    """What a result stands on beside its cell.

    Attributes:
        weights: sha256 of the victim's weights.
        ids: sha256 of the samples' ids, in order.
        content: sha256 of what the samples hold.
        sources: sha256 of the files with the code of networks, attacks, gradient methods and data sets of a user's own.
    """

    weights: str
    ids: str
    content: str
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, result: CellResult) -> "Basis":
        """Return what a finished result stands on."""
        return cls(result.checkpoint_sha256, result.data_sha256, result.content_sha256, result.sources)

    def fingerprint(self, filled: Cell, **setting: str) -> str:
        """Return what names a cell's folder.

        Args:
            filled: The cell with all its defaults.
            setting: What else changes numbers, in the last digits: another backend than ours, another precision than
                single.
        """
        other: dict[str, object] = {name: value for name, value in setting.items() if value != USUAL.get(name)}
        if self.sources:
            other["sources"] = dict(self.sources)
        samples = {"data": self.ids, "content": self.content}
        return filled.fingerprint(weights=self.weights, version=__version__, **samples, **other)

    def changes(self, before: "Basis", cell: Cell) -> list[str]:
        """Return in words what of it is not as it was."""
        now, then = self.sources, before.sources
        changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
        changed += [f"the weights of {cell.victim.name}"] if self.weights != before.weights else []
        if (self.ids, self.content) != (before.ids, before.content):
            changed.append(f"the samples of {cell.data.name}")
        return changed


def own_sources(cell: Cell) -> dict[str, str]:
    """Return the sha256 of each file with code of a user's own that a cell names as `package.module:Class`.

    Raises:
        ConfigError: A module is not here.
    """
    found: dict[str, str] = {}
    for module in sorted(set(_own_modules(asdict(cell.without("paper", "victim.checkpoint"))))):
        if not is_there(module):
            raise ConfigError(f"there is no module {module!r} here; run this in the folder that it is in")
        found |= source_files(module)
    return found


def _own_modules(value: Any) -> Iterator[str]:
    """Yield the modules of all texts `package.module:Class` inside a value."""
    if isinstance(value, str):
        match = _OWN.fullmatch(value)
        if match:
            yield match[1]
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _own_modules(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _own_modules(inner)


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
    wanted = {cell: key for cell in cells if cell not in known and (key := _asked(cell))}
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


def _asked(cell: Cell) -> Cell | None:
    """Return the key of a cell that was asked for; None where it makes no sense, so that nothing can be there."""
    try:
        return _key(resolved(cell))
    except LgmBenchError:
        return None


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
                with never_exiting("code of your own"):
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
