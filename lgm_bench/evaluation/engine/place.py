"""Which of several processes this one is, where torchrun, SLURM or `--devices N` started them."""

import os
from dataclasses import dataclass

from lgm_bench.errors import ConfigError

TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets in the environment of every process; LOCAL_RANK too."""


@dataclass(frozen=True)
class Place:
    """One of several processes.

    Attributes:
        rank: Its number; 0 prints and writes for all.
        world: How many processes there are.
        local_rank: Its number on this machine, and so which of the machine's GPUs it uses.
        address: The machine of rank 0.
        port: A port that is free there.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    address: str = ""
    port: int = 0


ALONE = Place()


def here() -> Place:
    """Return which process this is, as the environment says; `ALONE` if it says nothing.

    Raises:
        ConfigError: The variables that torchrun or SLURM set make no sense.
    """
    try:
        place = _of_torchrun() if "RANK" in os.environ else _of_slurm()
    except ValueError as error:
        raise ConfigError(
            f"the environment variables that number the processes make no sense ({error}); start them with torchrun or "
            "srun, or unset RANK, WORLD_SIZE and SLURM_NTASKS"
        ) from error
    if not 0 <= place.rank < place.world:
        raise ConfigError(f"this process has rank {place.rank} of {place.world}; ranks go from 0 to {place.world - 1}")
    return place if place.world > 1 else ALONE


def _of_torchrun() -> Place:
    lacking = [name for name in TORCHRUN if name not in os.environ]
    if lacking:
        raise ValueError(f"RANK is set, but not {' and '.join(lacking)}")
    rank, world, port = _number("RANK"), _number("WORLD_SIZE"), _number("MASTER_PORT")
    local_rank = _number("LOCAL_RANK") if "LOCAL_RANK" in os.environ else 0
    return Place(rank, world, local_rank, os.environ["MASTER_ADDR"], port)


def _number(name: str) -> int:
    text = os.environ[name]
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} is {text!r}, not a number")
    return int(text)


def _of_slurm() -> Place:
    if os.environ.get("SLURM_NTASKS", "1") == "1":
        return ALONE
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    if not SLURMEnvironment.detect():
        return ALONE
    try:
        slurm = SLURMEnvironment(auto_requeue=False)
        return Place(slurm.global_rank(), slurm.world_size(), slurm.local_rank(), slurm.main_address, slurm.main_port)
    except RuntimeError as error:
        raise ConfigError(f"several tasks of SLURM need --ntasks-per-node, for sbatch or for srun ({error})") from error
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is not set") from error
