"""Cells of attacks on points: the released parameters where a cell says nothing, and the slopes as an object."""

from typing import Any, TypeVar

from lgm_bench.attacks import ATTACKS
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, RELATION, Cell, GradientSpec
from lgm_bench.evaluation.cells.kinds import follows_gradient, softens
from lgm_bench.evaluation.cells.released import PointSettings, point_settings, stored_slope
from lgm_bench.evaluation.cells.units import STANDARD
from lgm_bench.leaded import AUTO
from lgm_bench.registry import resolve
from lgm_bench.voxels import VoxelSlopes

ENDS = ("input_slope", "output_slope", "floor_slope")
POINT_FIELDS = ("relation", *ENDS, "loss")
Value = TypeVar("Value")


def resolved_points(cell: Cell) -> Cell:
    """Return the cell with what it leaves open filled in: from the released runs, else with our defaults.

    Of the released parameters, steps and step are those of Point-BIM and hold for it alone. Without released ones the
    slope is "auto", and a method that does not soften has none. Input and output have the same, and the floor where
    it is "auto".

    Raises:
        ConfigError: An option is for images, or a slope makes no sense.
        UnknownNameError: There is no such relation function.
    """
    voxel_slopes(cell)  # also what is not going to be used has to make sense
    attack = cell.attack
    if attack.targeted or attack.valid_pixels != 1 or attack.active_set:
        option = "targeted" if attack.targeted else "valid_pixels" if attack.valid_pixels != 1 else "active_set"
        raise ConfigError(f"{option} is for attacks on images; leave it out with {attack.name!r}")
    if not follows_gradient(attack.name):
        return cell.replace(attack={"step": None, "loss": None}, gradient=GradientSpec(NO_GRADIENT))
    released = point_settings(cell.victim.name, cell.gradient.name, attack.eps)
    gradient = _resolved_gradient(cell, released)
    given: dict[str, Any] = {"loss": _first(attack.loss, _default_loss(attack.name, released))}
    if released and attack.name == "pointbim":
        given |= {"steps": _first(attack.steps, released.steps), "step": _first(attack.step, released.step)}
    return cell.replace(attack=given, gradient=gradient)


def _resolved_gradient(cell: Cell, released: PointSettings | None) -> dict[str, Any]:
    gradient, soft = cell.gradient, softens(cell.gradient.name)
    known = released.slope if released else AUTO if soft else None
    slope = _first(gradient.slope, (stored_slope(cell) if soft else None) or known)
    plain = {"input_slope": slope, "output_slope": slope} if soft else {}
    values = {name: getattr(released, name) if released else plain.get(name) for name in ENDS}
    values = dict.fromkeys(ENDS) if slope == AUTO else values
    ends = {name: _first(getattr(gradient, name), value) for name, value in values.items()}
    ends = {name: value if value is None else float(value) for name, value in ends.items()}
    relation = _first(gradient.relation, RELATION) if soft or any(ends.values()) else None
    return {"slope": slope, "relation": relation, **ends}


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
        normalized=cell.protocol == STANDARD,
        automatic=cell.gradient.slope == AUTO,
    )


def _default_loss(attack: str, released: PointSettings | None) -> str:
    """Return the released runs' loss where the attack can raise it, else the attack's own."""
    losses: tuple[str, ...] = resolve("attack", attack, ATTACKS).losses
    return released.loss if released and released.loss in losses else losses[0]


def _first(given: Value | None, otherwise: Value) -> Value:
    return otherwise if given is None else given
