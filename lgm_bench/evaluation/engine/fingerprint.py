"""What a finished result stands on: cell, weights, samples and source code; and what of it has changed since."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lgm_bench import __version__
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.precision import SINGLE
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.sources import is_there, source_files
from lgm_bench.sparse.backends import NATIVE

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
