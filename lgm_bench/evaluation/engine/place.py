"""Which of several processes this is, on which devices it computes, and in which precision."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell

TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that torchrun sets for every process; it also sets LOCAL_RANK."""
SINGLE = "32-true"
RECORDED = {
    SINGLE: "float32",
    "64-true": "float64",
    "16-true": "float16",
    "bf16-true": "bfloat16",
    "16-mixed": "float16-mixed",
    "bf16-mixed": "bfloat16-mixed",
}
"""Lightning's names of precisions, and the names in records."""

_SHORT = {"32": SINGLE, "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}
_ACCELERATORS = ("auto", "cpu", "cuda", "gpu")
_MOST_PER_CORE = 8
"""Most CPU processes per core; with more, a machine runs out of memory before any of them starts to compute."""


@dataclass(frozen=True)
class Place:
    """One of `world` processes, by its number; process 0 prints and writes for all."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0  # number on this machine, which selects the GPU
    address: str = ""  # the machine of rank 0, and a port that is free there
    port: int = 0


ALONE = Place()


def here() -> Place:
    """Return which process this is, according to the environment variables; `ALONE` without any.

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


def checked_devices(accelerator: str, devices: int, num_nodes: int = 1, place: Place = ALONE) -> str:
    """Return the accelerator to run on; "auto" takes GPUs if there are enough.

    `devices` is the number of processes on each of `num_nodes` machines. If several were started already, devices times
    num_nodes must be their number, or 1.

    Raises:
        ConfigError: There are too few devices or cores, no such accelerator here, or another number of processes.
        UnknownNameError: There is no such accelerator.
    """
    import torch  # imported late: the command line calls `here` before every verb

    if accelerator == "mps":
        raise ConfigError("Apple's GPUs (mps) have no float64, which verdicts need; take --accelerator cpu")
    if accelerator not in _ACCELERATORS:
        raise UnknownNameError("accelerator", accelerator, _ACCELERATORS)
    for name, value in (("devices", devices), ("num_nodes", num_nodes)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")
    asked = devices * num_nodes
    if place.world > 1 and asked not in (1, place.world):
        raise ConfigError(
            f"{place.world} processes were started, which does not fit --devices {devices} times --num-nodes "
            f"{num_nodes}; leave both out, or start {asked}"
        )
    if place.world == 1 and num_nodes > 1:
        raise ConfigError(
            f"--num-nodes {num_nodes} needs processes on {num_nodes} machines, and this one was started alone; start "
            f"them with `torchrun --nnodes {num_nodes} --nproc-per-node {devices} ... -m lgm_bench run ...` on each "
            f"machine, or with `srun --nodes {num_nodes} --ntasks-per-node {devices} lgm-bench run ...`"
        )
    devices = 1 if place.world > 1 else devices  # each of several processes uses one device
    gpus = torch.cuda.device_count()
    if accelerator in ("gpu", "cuda") and devices > gpus:
        raise ConfigError(f"there are {gpus} GPUs here, not {devices}; lower --devices, or take --accelerator cpu")
    if accelerator == "auto":
        accelerator = "gpu" if devices <= gpus else "cpu"
    most = _MOST_PER_CORE * (os.cpu_count() or 1)
    if accelerator == "cpu" and devices > most:
        raise ConfigError(f"--devices {devices}: this machine's cores allow at most {most} processes; lower it")
    return accelerator


def device_type(accelerator: str) -> str:
    """Return PyTorch's name of the devices of a checked accelerator: "cuda" or "cpu"."""
    return "cuda" if accelerator in ("gpu", "cuda") else "cpu"


def checked_precision(precision: str | int, cells: Iterable[Cell], *, force: bool = False) -> str:
    """Return Lightning's full name of a precision in which the cells may be run.

    Raises:
        UnknownNameError: There is no such precision.
        ConfigError: It is too low for an attack that follows signs, and `force` is false.
    """
    name = _SHORT.get(str(precision), str(precision))
    if name not in RECORDED:
        raise UnknownNameError("precision", str(precision), [*_SHORT, *RECORDED])
    signed = next((cell.attack.name for cell in cells if cell.gradient.name != NO_GRADIENT), None)
    if name not in (SINGLE, "64-true") and signed is not None and not force:
        raise ConfigError(
            f"precision {precision} is refused for {signed!r}: sign attacks step by the sign of a gradient. Where a "
            "network is very confident, most of its gradient is rounding, so lower precision weakens the attack and "
            "the network looks more robust than it is; take --precision 32 or 64, or --force-precision to run it "
            "anyway (the record names the precision)"
        )
    return name
