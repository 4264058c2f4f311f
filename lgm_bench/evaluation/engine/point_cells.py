"""Cells of attacks on points: the released parameters where a cell says nothing, and the slopes as an object."""

from typing import Any, TypeVar

from lgm_bench.attacks import ATTACKS
from lgm_bench.attacks.point_defaults import PointSettings, default_settings
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell, GradientSpec
from lgm_bench.evaluation.cells.suites import GRADIENT_FREE, RELATION
from lgm_bench.registry import resolve
from lgm_bench.voxels import VoxelSlopes

POINT_FIELDS = ("relation", "input_slope", "output_slope", "floor_slope", "loss")
Value = TypeVar("Value")


def resolved_points(cell: Cell) -> Cell:
    """Return the cell with what it leaves open filled in: from the released runs, else with our defaults.

    Of the released parameters, steps and step are those of Point-BIM and hold for it alone. Without released ones the
    slopes of input and output are LGM's own, and FGM has none.

    Raises:
        ConfigError: LGM has no slope, neither given nor released; an option is for images; or a slope makes no sense.
        UnknownNameError: There is no such relation function.
    """
    voxel_slopes(cell)  # also what is not going to be used has to make sense
    if cell.attack.targeted or cell.attack.valid_pixels != 1 or cell.attack.active_set:
        option = (
            "targeted" if cell.attack.targeted else "valid_pixels" if cell.attack.valid_pixels != 1 else "active_set"
        )
        raise ConfigError(f"{option} is for attacks on images; leave it out with {cell.attack.name!r}")
    if cell.attack.name in GRADIENT_FREE:
        return cell.replace(attack={"step": None, "loss": None}, gradient=GradientSpec("fgm"))
    released = _released(cell)
    slope = cell.gradient.slope if cell.gradient.slope is not None or released is None else released.slope
    if cell.gradient.name == "lgm" and slope is None:
        default_settings(cell.victim.name, cell.gradient.name, cell.attack.eps)
    plain = VoxelSlopes(input=slope, output=slope) if cell.gradient.name == "lgm" else VoxelSlopes()
    voxels = released.voxels if released else plain
    ends: dict[str, Any] = {
        f"{name}_slope": _first(getattr(cell.gradient, f"{name}_slope"), getattr(voxels, name))
        for name in ("input", "output", "floor")
    }
    ends = {name: value if value is None else float(value) for name, value in ends.items()}
    smooth = slope is not None or any(ends.values())
    relation = _first(cell.gradient.relation, RELATION) if smooth else None
    attack: dict[str, Any] = {"loss": _first(cell.attack.loss, _default_loss(cell.attack.name, released))}
    if released and cell.attack.name == "pointbim":
        attack |= {"steps": _first(cell.attack.steps, released.steps), "step": _first(cell.attack.step, released.step)}
    return cell.replace(attack=attack, gradient={"slope": slope, "relation": relation, **ends})


def voxel_slopes(cell: Cell) -> VoxelSlopes:
    """Return the slopes of a resolved cell; those of one of images have no meaning.

    Raises:
        ConfigError: A slope makes no sense.
        UnknownNameError: There is no such relation function.
    """
    return VoxelSlopes(
        input=cell.gradient.input_slope,
        output=cell.gradient.output_slope,
        floor=cell.gradient.floor_slope,
        relation=cell.gradient.relation or RELATION,
        normalized=cell.protocol == "paper",
    )


def _default_loss(attack: str, released: PointSettings | None) -> str:
    """Return the released runs' loss where the attack can raise it, else the attack's own."""
    losses: tuple[str, ...] = resolve("attack", attack, ATTACKS).losses
    return released.loss if released and released.loss in losses else losses[0]


def _released(cell: Cell) -> PointSettings | None:
    try:
        return default_settings(cell.victim.name, cell.gradient.name, cell.attack.eps)
    except ConfigError:
        return None


def _first(given: Value | None, otherwise: Value) -> Value:
    return otherwise if given is None else given
