"""From a cell's plain values to the objects that compute it, and back to a cell with every default filled in."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datamodules import DATAMODULES
from datamodules.samples_datamodule import SamplesDataModule
from lgm_bench.attacks import ATTACKS
from lgm_bench.attacks.attack import Attack
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell, GradientSpec
from lgm_bench.evaluation.cells.kinds import follows_gradient, softens, takes_points
from lgm_bench.evaluation.cells.released import image_slope, stored_slope
from lgm_bench.evaluation.cells.units import LEVELS, OFFICIAL, PROTOCOLS, STANDARD, check_sense, paper_eps, unit
from lgm_bench.evaluation.engine.point_cells import POINT_FIELDS, resolved_points, voxel_slopes
from lgm_bench.leaded import AUTO, FGM, GradientMethod, gradient_named
from lgm_bench.registry import resolve
from lgm_bench.tasks.base import task_named
from victims import load_victim
from victims.image_victim import ImageVictim
from victims.names import VICTIMS
from victims.victim import Victim

Channels = tuple[float, ...]
"""A number for each channel."""


def resolved(cell: Cell) -> Cell:
    """Return the cell with the attack's step and steps and the gradient's slopes filled in.

    Two cells that stand for the same attack become equal: an attack that takes no step keeps none, and one that
    follows no gradient has `NO_GRADIENT`.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: The attack, the gradient, the victim or the data set is not known.
    """
    resolve("victim", cell.victim.name, VICTIMS)
    resolve("data set", cell.data.name, DATAMODULES)
    if cell.data.limit is not None and cell.data.limit < 1:
        raise ConfigError(f"limit must be a number of samples of at least 1, got {cell.data.limit}")
    check_sense(cell)
    _check_fit(cell)
    cell = resolved_points(cell) if takes_points(cell.attack.name) else _resolved_images(cell)
    build_gradient(cell)
    build_attack(cell)
    step, steps = _step_and_steps(cell)
    slope = float(cell.gradient.slope) if isinstance(cell.gradient.slope, int) else cell.gradient.slope
    given: dict[str, Any] = {"eps": float(cell.attack.eps), "valid_pixels": float(cell.attack.valid_pixels)}
    given |= {"steps": steps} | ({} if step is None else {"step": step})
    return cell.replace(attack=given, gradient={"slope": slope})


def build_attack(cell: Cell) -> Attack:
    """Return the cell's attack.

    On images, the protocol says what a printed eps is. On points it says what steps are: in the official one the
    iterates that are judged, the clean cloud among them; in that of the paper's text the moves.

    Raises:
        UnknownNameError: No attack or protocol of that name.
        ConfigError: It refuses an option.
    """
    kind: type[Attack] = resolve("attack", cell.attack.name, ATTACKS)
    asked, (step, steps) = cell.attack, _step_and_steps(cell)
    if kind.inputs == "points":
        judges_clean = cell.protocol == OFFICIAL and kind.judges_start
        return kind(asked.eps, step, steps - judges_clean, loss=asked.loss, seed=asked.seed)
    one = unit(cell)
    return kind(
        asked.eps * one,
        asked.step if step is None else step * one,
        steps,
        bounds=PROTOCOLS[cell.protocol],
        valid_pixels=asked.valid_pixels,
        active_set=asked.active_set,
        seed=asked.seed,
    )


def _step_and_steps(cell: Cell) -> tuple[float | None, int]:
    """Return step and steps of the cell in its unit, the attack's defaults where it has none."""
    kind: type[Attack] = resolve("attack", cell.attack.name, ATTACKS)
    steps = kind.default_steps if cell.attack.steps is None else cell.attack.steps
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"steps must be a whole number of at least 1, got {steps!r}")
    if not kind.takes_step:
        return None, steps
    if cell.attack.step is not None:
        return float(cell.attack.step), steps
    if cell.protocol == STANDARD or kind.inputs == "points" or kind.default_step is None:
        return float(kind.usual_step(cell.attack.eps)), steps
    return round(LEVELS * kind.default_step, 9), steps  # the released runs step by one of their unit


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
    """Check that the attack is one on what the data set holds, as far as that is known before it is read."""
    name = getattr(resolve("data set", cell.data.name, DATAMODULES), "task", None)
    kind: type[Attack] = resolve("attack", cell.attack.name, ATTACKS)
    if name is not None and task_named(name).inputs != kind.inputs:
        task = task_named(name)
        fitting = [name for name in ATTACKS if takes_points(name) == (task.inputs == "points")]
        raise ConfigError(
            f"data set {cell.data.name!r} holds {task.sample}s, and {cell.attack.name!r} is no attack on these; "
            f"choose one of {', '.join(fitting)}"
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


def build_victim(cell: Cell) -> Victim:
    """Return the cell's victim in evaluation mode, on the CPU; see `load_victim` for what it raises."""
    victim = cell.victim
    return load_victim(
        victim.name, victim.checkpoint, victim.mean, victim.std, cell.attack.seed, kwargs=dict(victim.kwargs)
    )


def normalization(cell: Cell, victim: Victim) -> tuple[Channels | None, Channels | None]:
    """Return the mean and std that a victim of images normalizes by, see `VictimSpec.mean`; None for one of points."""
    if not isinstance(victim, ImageVictim):
        return cell.victim.mean, cell.victim.std
    return cell.victim.mean or _channels(victim.mean), cell.victim.std or _channels(victim.std)


def _channels(values: Tensor) -> Channels:
    """Return a normalization as short decimal numbers that give the same float32."""
    return tuple(float(f"{value:.7g}") for value in values.flatten().tolist())


def build_data(cell: Cell, data_root: Path | str | None, batch_size: int | None) -> SamplesDataModule:
    """Return the datamodule that yields the cell's samples; nothing is read yet.

    Args:
        cell: The cell.
        data_root: See `run_cells`.
        batch_size: Samples per batch; None for the data set's default.

    Raises:
        UnknownNameError: There is no such data set.
        ConfigError: It is of a user's own and no `SamplesDataModule`, or refuses an option.
    """
    kind = resolve("data set", cell.data.name, DATAMODULES)
    size = batch_size or getattr(kind, "default_batch_size", 1)
    datamodule = kind(data_root=data_root, batch_size=size, limit=cell.data.limit, subset=cell.data.subset)
    if not isinstance(datamodule, SamplesDataModule):
        raise ConfigError(
            f"data set {cell.data.name!r} is a {type(datamodule).__name__}; derive it from "
            "datamodules.samples_datamodule.SamplesDataModule, whose samples have ids"
        )
    return datamodule


def check_pair(cell: Cell, victim: Victim, datamodule: SamplesDataModule) -> None:
    """Check that the cell's victim does what the samples are for.

    Raises:
        ConfigError: It does not.
    """
    does = victim.task
    if does != datamodule.task:
        raise ConfigError(
            f"victim {cell.victim.name!r} is for {does} and data set {cell.data.name!r} for {datamodule.task}; choose "
            "another victim, or another data set (data: in YAML, or --data)"
        )


def weights_sha256(victim: nn.Module) -> str:
    """Return the sha256 of a network's state, by name: the same whatever file it was read from."""
    digest = hashlib.sha256()
    for name, value in sorted(victim.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
