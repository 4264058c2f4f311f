"""Processes that torchrun or srun started: which of them this one is, and what Lightning is told of it."""

import os
from dataclasses import dataclass

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from lgm_bench.errors import ConfigError

_OF_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """One of several processes that something else than lgm-bench started.

    Attributes:
        rank: Which of them; 0 prints and writes for all.
        world: How many there are.
        local_rank: Which of those on this machine, and so which of its GPUs.
        address: Of the machine of rank 0.
        port: That is free there.
    """

    rank: int
    world: int
    local_rank: int
    address: str
    port: int


def launched() -> Place | None:
    """Return which of several processes this is; None if it is alone, and starts others itself if it wants any.

    Raises:
        ConfigError: The variables that torchrun or SLURM set make no sense.
    """
    environment = _environment()
    if environment is None:
        return None
    try:
        rank, world = environment.global_rank(), environment.world_size()
        place = Place(rank, world, environment.local_rank(), environment.main_address, environment.main_port)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"the variables of the environment that say which process this is make no sense ({error!r}); start it with "
            "torchrun or srun, or take RANK, WORLD_SIZE and SLURM_NTASKS out of the environment"
        ) from error
    if not 0 <= rank < world:
        raise ConfigError(f"this process has rank {rank} of {world}; ranks go from 0 to {max(0, world - 1)}")
    return place if world > 1 else None


def follows() -> bool:
    """Return whether another process prints and writes for this one."""
    place = launched()
    return place is not None and place.rank > 0


def _environment() -> ClusterEnvironment | None:
    if all(name in os.environ for name in _OF_TORCHRUN):
        os.environ.setdefault("LOCAL_RANK", "0")
        return TorchElasticEnvironment()
    if os.environ.get("SLURM_NTASKS", "1") == "1" or not SLURMEnvironment.detect():
        return None
    try:
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:
        raise ConfigError(f"several tasks of SLURM need --ntasks-per-node, for sbatch or for srun ({error})") from error


class JoinedEnvironment(ClusterEnvironment):
    """Tells Lightning who is who: every process is a node of its own with one device, however they are spread."""

    def __init__(self, place: Place, world: int) -> None:
        self.place, self.world = place, world

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.place.address

    @property
    def main_port(self) -> int:
        return self.place.port

    @staticmethod
    def detect() -> bool:
        return False  # it is only ever given

    def world_size(self) -> int:
        return self.world

    def set_world_size(self, size: int) -> None:
        """Nothing to set: it is fixed."""

    def global_rank(self) -> int:
        return self.place.rank

    def set_global_rank(self, rank: int) -> None:
        """Nothing to set: it is fixed."""

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self.place.rank

    def devices(self, accelerator: str) -> int | list[int]:
        """Return Lightning's `devices`: the GPU that is this process's, or one of whatever else there is."""
        gpus = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0
        return [self.place.local_rank % gpus] if gpus else 1
