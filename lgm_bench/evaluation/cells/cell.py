"""A cell: one number of a table, everything that determines it, and nothing else."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lgm_bench.evaluation.cells.units import STANDARD, eps_number

NO_IDENTITY = ("paper", "history", "baseline")
"""Values of a cell that change no number. Fingerprints and leaderboards leave them out."""
NO_GRADIENT = "none"
"""Name of the gradient of an attack that follows none, such as random moves."""
RELATION = "sigmoid"
"""The relation of points and voxels where none is named."""


@dataclass(frozen=True, slots=True)
class VictimSpec:
    """The network that is attacked.

    Attributes:
        name: Registered victim name, or `package.module:Class` of a user's own.
        checkpoint: Path of a checkpoint, "random", or None for the registry's default.
        mean: Normalization of the victim, if it is not its default.
        std: See `mean`.
        kwargs: Keyword arguments of a user's own class, as sorted pairs; may be given as a mapping.
    """

    name: str
    checkpoint: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    kwargs: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        pairs = self.kwargs.items() if isinstance(self.kwargs, Mapping) else self.kwargs
        object.__setattr__(self, "kwargs", tuple(sorted((name, _frozen(value)) for name, value in pairs)))


@dataclass(frozen=True, slots=True)
class DataSpec:
    """The samples that are attacked.

    Attributes:
        name: Registered datamodule name, or `package.module:Class` of a user's own.
        subset: "test" (or the data set's evaluation split), or "holdout" (training images kept from training).
        limit: Number of samples, the first ones of the set; None for all.
    """

    name: str
    subset: str = "test"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class AttackSpec:
    """How the inputs are changed.

    Attributes:
        name: Registered attack name, or `package.module:Class` of a user's own.
        eps: Half-width of the L-infinity ball, in the unit of the cell's protocol, see `units`: of images such as 8/255
            of intensities in [0, 1], of points metres.
        step: In the same unit; None for the attack's default.
        steps: Iterations; None for the attack's default.
        loss: The loss that the attack raises, one of its `losses`; None for the attack's default.
        targeted: Whether every class in turn is the target.
        valid_pixels: Share of the pixels that may change.
        active_set: Whether samples that have fallen are left alone from then on.
        seed: Seed of all randomness.
    """

    name: str
    eps: float
    step: float | None = None
    steps: int | None = None
    loss: str | None = None
    targeted: bool = False
    valid_pixels: float = 1.0
    active_set: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class GradientSpec:
    """The gradient that the attack follows.

    Attributes:
        name: Registered gradient method, `package.module:Class` of a user's own, or `NO_GRADIENT`.
        slope: Slope lambda of the soft occupancy; "auto" takes it from each unit's margins; None for a method without
            one, and where the default is to be filled in.
        relation: How points and voxels are related, see `VoxelSlopes`. This and the following are None for images.
        input_slope: Slope of the way from points to voxels; None where there is none.
        output_slope: Slope of the way back.
        floor_slope: Slope of the soft floor in coordinate features.
    """

    name: str
    slope: float | str | None = None
    relation: str | None = None
    input_slope: float | None = None
    output_slope: float | None = None
    floor_slope: float | None = None

    @property
    def slope_text(self) -> str:
        """The slope as it is printed, such as "0.5" or "auto"; nothing where there is none."""
        return f"{self.slope:g}" if isinstance(self.slope, float | int) else self.slope or ""


@dataclass(frozen=True, slots=True)
class Cell:
    """Victim x data x attack x gradient, as plain values.

    Attributes:
        victim: The network.
        data: The samples.
        attack: The attack.
        gradient: The gradient that it follows.
        protocol: "standard" or "official".
        history: Whether the hard network judges every iterate of an attack on images, see `rows.HISTORY`; that changes
            no number, so it is not part of the fingerprint, and cells that differ in nothing else are equal.
        paper: Where the paper prints this number, such as ("table_1", "eps=1", "dynconv32", "fgm"); not part of
            the fingerprint.
        baseline: The gradient that the cell's own is compared with; None where there is no other. Like `history` it
            is no part of the fingerprint or of equality.
    """

    victim: VictimSpec
    data: DataSpec
    attack: AttackSpec
    gradient: GradientSpec
    protocol: str = STANDARD
    history: bool = field(default=False, compare=False)
    paper: tuple[str, ...] | None = None
    baseline: str | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """Short text for folder names."""
        attack, relation = self.attack, self.gradient.relation
        kind = "targeted-" if attack.targeted else ""
        pixels = "" if attack.valid_pixels == 1 else f"-{attack.valid_pixels:.0%}".replace("%", "pct")
        ending = "" if relation in (None, RELATION) else f"-{relation}"
        return f"{self.victim.name}-{kind}{attack.name}{pixels}-eps{eps_number(self)}-{self.gradient.name}{ending}"

    def replace(self, **changes: Any) -> "Cell":
        """Return the cell with other values; those of a part as a mapping, such as `attack={"eps": 2.0}`."""
        for part in KINDS:
            if isinstance(changes.get(part), Mapping):
                changes[part] = dataclasses.replace(getattr(self, part), **changes[part])
        return dataclasses.replace(self, **changes)

    def without(self, *names: str) -> "Cell":
        """Return the cell with some parts or values blank, to find the cells that differ in these alone.

        A value becomes its default, or None if it has none. The result is for comparing and cannot be run.

        Args:
            names: Such as "gradient", "attack.step" or "paper".

        >>> cells = [Cell(VictimSpec("a"), DataSpec("b"), AttackSpec("bim", 4.0), GradientSpec(g)) for g in ("x", "y")]
        >>> cells[0].without("gradient") == cells[1].without("gradient")
        True
        """
        cell = self
        for name in names:
            part, _, value = name.partition(".")
            old = getattr(cell, part)
            new = dataclasses.replace(old, **{value: _blank(old, value)}) if value else _blank(cell, part)
            cell = dataclasses.replace(cell, **{part: new})
        return cell

    def flat(self) -> dict[str, Any]:
        """Return every value by its own name: "victim" is the victim's name, "kwargs" a text such as "width=3"."""
        values: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self).items():
            values |= {name: value.pop("name"), **value} if name in KINDS else {name: value}
        values["kwargs"] = ", ".join(f"{name}={value}" for name, value in self.victim.kwargs) or None
        return values

    def fingerprint(self, **context: object) -> str:
        """Return 16 hex digits of the sha256 of the cell and of `context` (checkpoint hash, data hash, version).

        Batch size, devices, the checkpoint's path, `history`, `paper` and `baseline` do not enter: they do not
        change the result.
        """
        values = dataclasses.asdict(self.without("victim.checkpoint", *NO_IDENTITY))
        del values["baseline"]  # fingerprints are older than this value
        text = json.dumps({"cell": values, **context}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


KINDS: dict[str, type] = {"victim": VictimSpec, "data": DataSpec, "attack": AttackSpec, "gradient": GradientSpec}
"""The parts of a cell that have values of their own."""


def _blank(holder: Any, name: str) -> Any:
    """Return the default of a dataclass's value, or None."""
    default = next(entry.default for entry in fields(holder) if entry.name == name)
    return None if default is dataclasses.MISSING else default


def _frozen(value: Any) -> Any:
    """Return a value with tuples for its lists, so that it can be hashed."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
