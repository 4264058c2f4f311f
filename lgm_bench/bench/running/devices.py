"""How many processes a run gets, and on what."""

from collections.abc import Sequence, Set

import torch

from lgm_bench.errors import ConfigError, UnknownNameError

_ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")


def checked_devices(accelerator: str, devices: int) -> str:
    """Return the accelerator that several processes run on; a single one may leave the choice to Lightning.

    Raises:
        ConfigError: There are not so many devices, or the accelerator is not there.
        UnknownNameError: There is no such accelerator.
    """
    if accelerator not in _ACCELERATORS:
        raise UnknownNameError("accelerator", accelerator, _ACCELERATORS)
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise ConfigError(f"devices must be a whole number of at least 1, got {devices!r}")
    gpus = torch.cuda.device_count()
    if accelerator in ("gpu", "cuda") and devices > gpus and not (accelerator == "gpu" and _has_mps(devices)):
        raise ConfigError(f"there are {gpus} GPUs here, not {devices}; lower --devices, or take --accelerator cpu")
    if accelerator == "mps" and not _has_mps(devices):
        raise ConfigError("--accelerator mps needs an Apple GPU, and there is at most one; take --accelerator cpu")
    if accelerator == "auto" and devices > 1:
        return "gpu" if devices <= gpus else "cpu"
    return accelerator


def processes_for(ids: Sequence[str], done: Set[str], devices: int) -> int:
    """Return the largest number of processes, up to `devices`, of which every one has a sample left to do.

    A process without any would leave the test loop at once, and the others would wait for it for ever.

    >>> processes_for(["a", "b", "c"], {"b"}, 2)
    1
    """
    for processes in range(devices, 1, -1):
        shares = {index % processes for index, sample_id in enumerate(ids) if sample_id not in done}
        if len(shares) == processes:
            return processes
    return 1


def _has_mps(devices: int) -> bool:
    return devices == 1 and torch.backends.mps.is_available()
