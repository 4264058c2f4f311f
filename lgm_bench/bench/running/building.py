"""From a cell's plain values to the objects that compute it, and back to a cell with every default filled in."""

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from datamodules import DATAMODULES, load_datamodule
from datamodules.image_datamodule import ImageDataModule
from lgm_bench.attacks import ATTACKS
from lgm_bench.attacks.base import Attack
from lgm_bench.attacks.slopes import default_slope
from lgm_bench.bench.cells.cell import Cell
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.leaded import FGM, LGM, GradientMethod
from lgm_bench.registry import resolve
from victims import load_victim
from victims.image_victim import ImageVictim
from victims.names import VICTIMS

GRADIENTS = ("fgm", "lgm")


def resolved(cell: Cell) -> Cell:
    """Return the cell with the attack's step and steps and the gradient's slope filled in.

    Two cells that stand for the same attack become equal: FGM has no slope and no forward pass to choose, and an
    attack that takes no step keeps none.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: The attack, the gradient, the victim or the data set is not known.
    """
    resolve("victim", cell.victim, VICTIMS)
    resolve("data set", cell.data, DATAMODULES)
    if cell.gradient not in GRADIENTS:
        raise UnknownNameError("gradient", cell.gradient, GRADIENTS)
    if cell.limit is not None and cell.limit < 1:
        raise ConfigError(f"limit must be a number of samples of at least 1, got {cell.limit}")
    if cell.gradient == "fgm" and cell.slope is not None:
        raise ConfigError(f"FGM has no slope, got slope={cell.slope:g}; leave it out, or take the gradient lgm")
    if cell.gradient == "fgm":
        cell = replace(cell, forward="soft")
    elif cell.slope is None:
        cell = replace(cell, slope=default_slope(cell.victim, cell.attack, cell.eps, cell.targeted))
    build_gradient(cell)
    attack = build_attack(cell)
    slope = None if cell.slope is None else float(cell.slope)
    cell = replace(
        cell, eps=float(cell.eps), valid_pixels=float(cell.valid_pixels), slope=slope, steps=int(attack.steps)
    )
    return replace(cell, step=float(attack.step)) if attack.takes_step else cell


def build_attack(cell: Cell) -> Attack:
    """Return the cell's attack.

    Raises:
        UnknownNameError: No attack of that name.
        ConfigError: It refuses an option.
    """
    attack: Attack = resolve("attack", cell.attack, ATTACKS)(
        cell.eps,
        cell.step,
        cell.steps,
        protocol=cell.protocol,
        valid_pixels=cell.valid_pixels,
        seed=cell.seed,
        active_set=cell.active_set,
    )
    return attack


def build_gradient(cell: Cell) -> GradientMethod:
    """Return the gradient method of a resolved cell.

    Raises:
        ConfigError: The slope or the forward pass makes no sense.
    """
    return FGM() if cell.slope is None else LGM(cell.slope, cell.forward)


def build_victim(cell: Cell) -> ImageVictim:
    """Return the cell's victim in evaluation mode, on the CPU; see `load_victim` for what it raises."""
    return load_victim(cell.victim, cell.checkpoint, cell.mean, cell.std, cell.seed)


def build_data(cell: Cell, data_root: Path | str | None, batch_size: int) -> ImageDataModule:
    """Return the datamodule that yields the cell's samples; nothing is read yet.

    Raises:
        UnknownNameError: There is no such data set.
        ConfigError: It is of a user's own and no `ImageDataModule`, or refuses an option.
    """
    options = {"data_root": data_root, "batch_size": batch_size, "limit": cell.limit, "subset": cell.subset}
    datamodule = load_datamodule(cell.data, **options)
    if not isinstance(datamodule, ImageDataModule):
        raise ConfigError(
            f"data set {cell.data!r} is a {type(datamodule).__name__}; derive it from "
            "datamodules.image_datamodule.ImageDataModule, whose samples have ids"
        )
    return datamodule


def weights_sha256(victim: nn.Module) -> str:
    """Return the sha256 of a network's state, by name: the same whatever file it was read from."""
    digest = hashlib.sha256()
    for name, value in sorted(victim.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def ids_sha256(ids: list[str]) -> str:
    """Return the sha256 of sample ids, in order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()
