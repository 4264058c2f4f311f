"""A cell: everything that determines one number of a table, and nothing else."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lgm_bench.evaluation.cells.units import STANDARD, eps_number

NO_IDENTITY = ("paper", "history", "baseline")
"""Values of a cell that do not change its result. Fingerprints and leaderboards leave them out."""
NO_GRADIENT = "none"
"""Name of the gradient in a cell whose attack follows none, such as random moves."""
RELATION = "sigmoid"
"""Default relation between points and voxels."""


@dataclass(frozen=True, slots=True)
class VictimSpec:
    """The network that is attacked.

    Attributes:
        name: Registered victim name, or `package.module:Class` of a user's own class.
        checkpoint: Path of a checkpoint, "random", or None for the registry's default.
        mean: Mean of each channel for the normalization; None for the victim's default.
        std: Standard deviation of each channel; None for the victim's default.
        kwargs: Keyword arguments of a user's own class, as sorted pairs; a mapping is accepted too.
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
        name: Registered datamodule name, or `package.module:Class` for a user's own class.
        subset: "test" (or the data set's evaluation split), or "holdout" (training images kept from training).
        limit: Number of samples, taken from the start of the data set; None for all.
    """

    name: str
    subset: str = "test"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class AttackSpec:
    """How the inputs are changed.

    Attributes:
        name: Registered attack name, or `package.module:Class` of a user's own class.
        eps: Half-width of the L-infinity ball in the unit of the cell's protocol, see `units`. Under "standard" it is
            an intensity in [0, 1] for images, such as 8/255, and metres for points.
        step: Length of a step in the same unit; None for the attack's default.
        steps: Iterations; None for the attack's default.
        loss: The loss that the attack raises, one of its `losses`; None for the attack's default.
        targeted: Whether every class in turn is the target.
        valid_pixels: Share of the pixels that may change.
        active_set: Whether the attack leaves a sample alone as soon as it has succeeded on it.
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
        name: Registered gradient method, `package.module:Class` of a user's own class, or `NO_GRADIENT`.
        slope: Slope lambda of the soft occupancy, or "auto" to derive it from each unit's margins. None for a method
            without a slope, or to use the default.
        relation: Relation of points and voxels, see `VoxelSlopes`. This and the values below are None for images.
        input_slope: Slope of the relation from points to voxels; None for no slope.
        output_slope: Slope of the relation from voxels back to points.
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
        """The slope as it is printed, such as "0.5" or "auto"; empty without a slope."""
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
        history: Whether the hard network judges every iterate of an attack on images, see `tasks.columns`. This changes
            no number, so it is not part of the fingerprint, and cells that differ only in it are equal.
        paper: Where the paper prints this number, such as ("table_1", "eps=1", "dynconv32", "fgm"); not part of
            the fingerprint.
        baseline: The gradient with which the cell's own is compared; None if there is no other. Like `history`, it
            affects neither the fingerprint nor equality.
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
        """Return the cell with changed values; a mapping changes values of a part: `attack={"eps": 2.0}`."""
        for part in KINDS:
            if isinstance(changes.get(part), Mapping):
                changes[part] = dataclasses.replace(getattr(self, part), **changes[part])
        return dataclasses.replace(self, **changes)

    def without(self, *names: str) -> "Cell":
        """Return the cell with some parts or values blank, to find cells that differ only in these.

        A value becomes its default, or None if it has none. The result serves only for comparisons and cannot be run.

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
        """Return all values in a flat mapping; "victim" is the victim's name, "kwargs" a text such as "width=3"."""
        values: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self).items():
            values |= {name: value.pop("name"), **value} if name in KINDS else {name: value}
        values["kwargs"] = ", ".join(f"{name}={value}" for name, value in self.victim.kwargs) or None
        return values

    def fingerprint(self, **context: object) -> str:
        """Return 16 hex digits of the sha256 of the cell and of `context` (checkpoint hash, data hash, version).

        Batch size, devices, the checkpoint's path, `history`, `paper` and `baseline` are left out, because
        they do not change the result.
        """
        values = dataclasses.asdict(self.without("victim.checkpoint", *NO_IDENTITY))
        del values["baseline"]  # so that the fingerprints of older records stay valid
        text = json.dumps({"cell": values, **context}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


KINDS: dict[str, type] = {"victim": VictimSpec, "data": DataSpec, "attack": AttackSpec, "gradient": GradientSpec}
"""The parts of a cell that have values of their own."""


def _blank(holder: Any, name: str) -> Any:
    """Return the default of a dataclass field; None if it has none."""
    default = next(entry.default for entry in fields(holder) if entry.name == name)
    return None if default is dataclasses.MISSING else default


def _frozen(value: Any) -> Any:
    """Return a value with its lists turned into tuples, so that it can be hashed."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
