"""Filling in the defaults of a cell, and building its attack and gradient method."""

from typing import Any, TypeVar

from datamodules import DATAMODULES
from lgm_bench.attacks import ATTACKS
from lgm_bench.attacks.attack import Attack
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, RELATION, Cell, GradientSpec
from lgm_bench.evaluation.cells.kinds import follows_gradient, inputs_of, softens
from lgm_bench.evaluation.cells.released import PointSettings, image_slope, point_settings, stored_slope
from lgm_bench.evaluation.cells.suites import data_of
from lgm_bench.evaluation.cells.units import OFFICIAL, PROTOCOLS, STANDARD, check_sense, paper_eps, unit
from lgm_bench.leaded import AUTO, FGM, GradientMethod, gradient_named
from lgm_bench.registry import resolve
from lgm_bench.tasks.base import task_named
from lgm_bench.tasks.inputs import LEVELS
from lgm_bench.voxels import VoxelSlopes
from victims.names import VICTIMS

ENDS = ("input_slope", "output_slope", "floor_slope")
POINT_FIELDS = ("relation", *ENDS)
Value = TypeVar("Value")


def resolved(cell: Cell) -> Cell:
    """Return the cell with the attack's step and steps and the gradient's slopes filled in.

    Cells that describe the same attack become equal: an attack without steps gets no step, and one that follows no
    gradient gets `NO_GRADIENT`.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: The attack, the gradient, the victim or the data set is unknown.
    """
    resolve("victim", cell.victim.name, VICTIMS)
    resolve("data set", cell.data.name, DATAMODULES)
    if cell.data.limit is not None and cell.data.limit < 1:
        raise ConfigError(f"limit must be a number of samples of at least 1, got {cell.data.limit}")
    check_sense(cell)
    _check_fit(cell)
    cell = resolved_points(cell) if inputs_of(cell.attack.name).voxels else _resolved_images(cell)
    build_gradient(cell)
    build_attack(cell)
    step, steps = _step_and_steps(cell)
    slope = float(cell.gradient.slope) if isinstance(cell.gradient.slope, int) else cell.gradient.slope
    given: dict[str, Any] = {"eps": float(cell.attack.eps), "valid_pixels": float(cell.attack.valid_pixels)}
    given |= {"steps": steps} | ({} if step is None else {"step": step})
    return cell.replace(attack=given, gradient={"slope": slope})


def build_attack(cell: Cell) -> Attack:
    """Return the cell's attack.

    On images, the protocol sets the unit of eps. On points it sets the meaning of `steps`: "official" counts the
    judged iterates, including the clean cloud; "standard" counts the moves.

    Raises:
        UnknownNameError: There is no such attack or protocol.
        ConfigError: The attack refuses an option.
    """
    kind = _attack_class(cell)
    spec, (step, steps) = cell.attack, _step_and_steps(cell)
    options = {name: getattr(spec, name) for name in kind.options if name != "bounds"}
    if "bounds" in kind.options:
        options["bounds"] = PROTOCOLS[cell.protocol]
    judges_clean = cell.protocol == OFFICIAL and kind.keeps_best and kind.judges_start
    size = unit(cell)
    return kind(spec.eps * size, spec.step if step is None else step * size, steps - judges_clean, **options)


def _attack_class(cell: Cell) -> type[Attack]:
    kind = resolve("attack", cell.attack.name, ATTACKS)
    if not (isinstance(kind, type) and issubclass(kind, Attack)):
        raise ConfigError(f"attack {cell.attack.name!r} is no class derived from lgm_bench.attacks.Attack")
    return kind


def _step_and_steps(cell: Cell) -> tuple[float | None, int]:
    """Return the cell's step and steps in its unit, with the attack's defaults filled in."""
    kind = _attack_class(cell)
    steps = kind.default_steps if cell.attack.steps is None else cell.attack.steps
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"steps must be a whole number of at least 1, got {steps!r}")
    if not kind.takes_step:
        return None, steps
    if cell.attack.step is not None:
        return float(cell.attack.step), steps
    if unit(cell) == 1 or kind.default_step is None:
        return float(kind.usual_step(cell.attack.eps)), steps
    return round(LEVELS * kind.default_step, 9), steps  # in the released runs, a step is 1 in their unit


def build_gradient(cell: Cell) -> GradientMethod:
    """Return the gradient method of a resolved cell.

    Raises:
        UnknownNameError: There is no such method.
        ConfigError: A slope or the relation function makes no sense.
    """
    if cell.gradient.name == NO_GRADIENT:
        return FGM()
    return gradient_named(cell.gradient.name, cell.gradient.slope, voxel_slopes(cell))


def _check_fit(cell: Cell) -> None:
    """Check, before anything is read, that attack and victim fit the data set."""
    data = resolve("data set", cell.data.name, DATAMODULES)
    name = getattr(data, "task", None)
    kind = _attack_class(cell)
    if name is not None and task_named(name).inputs != kind.inputs:
        task = task_named(name)
        fitting = [name for name in ATTACKS if inputs_of(name).name == task.inputs]
        raise ConfigError(
            f"data set {cell.data.name!r} holds {task.sample}s, which {cell.attack.name!r} does not attack; "
            f"choose one of {', '.join(fitting)}"
        )
    if cell.victim.name not in VICTIMS or cell.data.name not in DATAMODULES:
        return
    own = data_of(cell.victim.name)
    known, given = tuple(resolve("data set", own, DATAMODULES).class_names), tuple(data.class_names)
    retrained = cell.victim.checkpoint is not None and len(known) == len(given)
    if known != given and not retrained:
        raise ConfigError(
            f"victim {cell.victim.name!r} is for the {len(known)} classes of {own!r}, and data set {cell.data.name!r} "
            f"has {len(given)} other classes; choose a victim for these, or the data set {own!r}"
        )


def _resolved_images(cell: Cell) -> Cell:
    values = cell.flat()
    given = [name for name in POINT_FIELDS if values[name] is not None]
    if given:
        raise ConfigError(f"{given[0]} is for attacks on points; leave it out with {cell.attack.name!r}")
    if not follows_gradient(cell.attack.name):
        return cell.replace(gradient=GradientSpec(NO_GRADIENT))
    if not softens(cell.gradient.name) or cell.gradient.slope is not None:
        return cell
    attack = cell.attack
    slope = stored_slope(cell) or image_slope(cell.victim.name, attack.name, paper_eps(cell), attack.targeted)
    return cell.replace(gradient={"slope": AUTO if slope is None else slope})


def resolved_points(cell: Cell) -> Cell:
    """Return a cell of points with its defaults filled in: those of the released runs, or else ours.

    The released step and number of steps belong to Point-BIM and are used for it alone. Without a released slope, the
    slope is "auto"; a method that does not soften has none. The input and output slopes default to the slope.

    Raises:
        ConfigError: An option is for images, or a slope makes no sense.
        UnknownNameError: There is no such relation function.
    """
    voxel_slopes(cell)  # checks also the values that will not be used
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
    """Return the slopes of a resolved cell of points; for images they have no meaning.

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
