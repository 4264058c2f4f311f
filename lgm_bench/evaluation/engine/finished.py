"""Results of earlier runs in the same folder, and whether weights, samples and code are still the same."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lgm_bench import __version__
from lgm_bench.errors import ConfigError, LgmBenchError, ResultError, never_exiting
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.kinds import inputs_of, learns
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.engine.materials import Materials
from lgm_bench.evaluation.engine.place import SINGLE
from lgm_bench.evaluation.store.files import UnusableError
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, folder_name, newest_first, read_record
from lgm_bench.sources import is_there, source_files
from lgm_bench.sparse.backends import NATIVE

log = logging.getLogger(__name__)

USUAL = {"backend": NATIVE, "precision": SINGLE}
"""Default settings, which fingerprints leave out."""

_OWN = re.compile(r'"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*"')


@dataclass(frozen=True)
class Basis:
    """What a result depends on besides its cell: the sha256 of weights, samples and code.

    `sources` has the files of the user's own code, by name: networks, attacks, gradient methods and data sets.
    """

    weights: str
    ids: str
    content: str
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, result: CellResult) -> "Basis":
        """Return the basis of a finished result."""
        return cls(result.checkpoint_sha256, result.data_sha256, result.content_sha256, result.sources)

    def fingerprint(self, filled: Cell, **setting: str) -> str:
        """Return the fingerprint of a resolved cell, which names its folder.

        `setting` is the backend and the precision, which change last digits.
        """
        other: dict[str, object] = {name: value for name, value in setting.items() if value != USUAL.get(name)}
        if not inputs_of(filled.attack.name).voxels:
            other.pop("backend", None)  # images have no sparse convolutions
        if self.sources:
            other["sources"] = dict(self.sources)
        samples = {"data": self.ids, "content": self.content}
        return filled.fingerprint(weights=self.weights, version=__version__, **samples, **other)

    def changes(self, before: "Basis", cell: Cell) -> list[str]:
        """Return in words what has changed since `before`."""
        now, then = self.sources, before.sources
        changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
        changed += [f"the weights of {cell.victim.name}"] if self.weights != before.weights else []
        if (self.ids, self.content) != (before.ids, before.content):
            changed.append(f"the samples of {cell.data.name}")
        return changed


def own_sources(cell: Cell) -> dict[str, str]:
    """Return the sha256 of each file of the user's own code that a cell names as `package.module:Class`.

    Raises:
        ConfigError: A module cannot be found.
    """
    values = json.dumps(asdict(cell.without("paper", "victim.checkpoint")))
    found: dict[str, str] = {}
    for module in sorted(set(_OWN.findall(values))):
        if not is_there(module):
            raise ConfigError(f"there is no module {module!r} here; run this in the folder that it is in")
        found |= source_files(module)
    return found


def finished_results(
    cells: Sequence[Cell],
    out: Path,
    *,
    known: Mapping[Cell, CellResult] | None = None,
    data_root: Path | str | None = None,
    **setting: str,
) -> dict[Cell, CellResult]:
    """Return the results of those cells that are finished in a folder, by cell and in the cells' order.

    A record counts if it is complete, of this version and of this cell, and was computed with the same weights, samples
    and own code as are on this machine. Where these are missing, as on a machine that only collects results,
    the newest record counts. Results in `known` are taken as they are; for `setting` see `Basis.fingerprint`.
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
    """Return in words what has changed since a folder's latest result of a resolved cell; empty if there is none."""
    for path in newest_first(out.glob(f"{folder_name(cell.title)}-*/{RESULT}")):
        try:
            result = read_record(path)
        except (UnusableError, ResultError):
            continue
        if _key(result.cell) == _key(cell):
            return basis.changes(Basis.of(result), cell)
    return []


def _asked(cell: Cell) -> Cell | None:
    """Return the key of a requested cell; None if the cell makes no sense and so cannot have a result."""
    try:
        return _key(resolved(cell))
    except LgmBenchError:
        return None


def _key(cell: Cell) -> Cell:
    """Return a cell without the values that differ between request and record; the victim fills in mean and std."""
    return cell.without("victim.mean", "victim.std", "paper")


def _records(out: Path, setting: dict[str, str]) -> Iterator[CellResult]:
    """Yield the complete records of this version in a folder, the newest first."""
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
    """The weights, samples and code on this machine, each loaded once, and only to compare records with it."""

    def __init__(self, known: Iterable[CellResult], data_root: Path | str | None) -> None:
        self._materials = Materials(data_root, None)
        self._found: dict[tuple[object, ...], object] = {
            (result.cell.data, learns(result.cell.attack.name)): (result.data_sha256, result.content_sha256)
            for result in known
        }

    def fits(self, cell: Cell, result: CellResult) -> bool:
        """Return whether a record was computed with the cell's weights, normalization, samples and code."""
        mean, std = result.cell.victim.mean, result.cell.victim.std
        if (cell.victim.mean or mean, cell.victim.std or std) != (mean, std):
            return False
        victim = self._look((cell.victim, cell.attack.seed), lambda: self._victim(cell))
        samples = self._look((cell.data, learns(cell.attack.name)), lambda: self._samples(cell))
        sources = self._look((cell,), lambda: own_sources(cell))
        return (
            victim in (None, (result.checkpoint_sha256, mean, std))
            and samples in (None, (result.data_sha256, result.content_sha256))
            and sources in (None, result.sources)
        )

    def _victim(self, cell: Cell) -> tuple[object, ...]:
        target = self._materials.target(cell)
        return target.sha256, target.mean, target.std

    def _samples(self, cell: Cell) -> tuple[str, str]:
        data = self._materials.data(cell)
        return data.sha256, data.basis

    def _look(self, key: tuple[object, ...], compute: Callable[[], object]) -> object:
        if key not in self._found:
            try:
                with never_exiting("code of your own"):
                    self._found[key] = compute()
            except LgmBenchError:
                self._found[key] = None
            except Exception:  # a user's own victim that can no longer be built: no record fits it
                self._found[key] = ""
        return self._found[key]
