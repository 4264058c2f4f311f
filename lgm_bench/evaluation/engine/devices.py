"""How many processes a run gets, and on what."""

import torch

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.engine.place import ALONE, Place

_ACCELERATORS = ("auto", "cpu", "cuda", "gpu")


def checked_devices(accelerator: str, devices: int, num_nodes: int = 1, place: Place = ALONE) -> str:
    """Return the accelerator to run on; "auto" takes GPUs if there are enough.

    Apple's (mps) are not among them: verdicts and IoUs are computed in float64, which those do not have.

    Args:
        accelerator: Lightning's name of it, or "auto".
        devices: Processes on every machine.
        num_nodes: Machines.
        place: Which of several processes this is: then devices and num_nodes have to fit their number unless both
            are 1.

    Raises:
        ConfigError: There are not so many devices, or the accelerator is not there, or processes do not fit.
        UnknownNameError: There is no such accelerator.
    """
    if accelerator == "mps":
        raise ConfigError("Apple's GPUs (mps) have no float64, which verdicts need; take --accelerator cpu")
    if accelerator not in _ACCELERATORS:
        raise UnknownNameError("accelerator", accelerator, _ACCELERATORS)
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise ConfigError(f"devices must be a whole number of at least 1, got {devices!r}")
    if isinstance(num_nodes, bool) or not isinstance(num_nodes, int) or num_nodes < 1:
        raise ConfigError(f"num_nodes must be a whole number of at least 1, got {num_nodes!r}")
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
    devices = 1 if place.world > 1 else devices  # each of those that were started sees to its own
    gpus = torch.cuda.device_count()
    if accelerator in ("gpu", "cuda") and devices > gpus:
        raise ConfigError(f"there are {gpus} GPUs here, not {devices}; lower --devices, or take --accelerator cpu")
    if accelerator == "auto":
        return "gpu" if devices <= gpus else "cpu"
    return accelerator
