"""What computed a number: versions, source tree, device."""

import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lgm_bench import __version__

if TYPE_CHECKING:
    import torch  # for types only: reading results must not wait for torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_LIBRARIES = ("torch", "torchvision", "timm", "pytorch-lightning", "torchmetrics", "numpy", "pyarrow")


def versions() -> dict[str, str]:
    """Return the versions of lgm-bench, Python and the libraries that compute."""
    found = {"lgm-bench": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


@cache
def git_commit() -> str | None:
    """Return the commit of the source tree that runs, ending in "-dirty" if it was changed; None for a wheel."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


class Peak(NamedTuple):
    """Largest memory and GPU memory of a process, in bytes; None where it is not measured."""

    memory: int | None = None
    gpu_memory: int | None = None

    def larger(self, other: "Peak") -> "Peak":
        """Return the larger value of each kind."""
        pairs = zip(self, other, strict=True)
        return Peak(*(max((value for value in pair if value is not None), default=None) for pair in pairs))


def peak(device: "torch.device") -> Peak:
    """Return this process's peak: of memory since it started, of GPU memory since `forget_peak`."""
    memory = None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if memory is not None and sys.platform != "darwin":
        memory *= 1024  # Linux counts KiB
    return Peak(memory, _cuda().max_memory_allocated(device) if device.type == "cuda" else None)


def forget_peak(device: "torch.device") -> None:
    """Measure the peak of GPU memory from now on."""
    if device.type == "cuda":
        _cuda().reset_peak_memory_stats(device)


def describe_device(device: "torch.device") -> str:
    """Return a device in words."""
    if device.type == "cuda":
        return f"cuda ({_cuda().get_device_name(device)})"
    return f"{device.type} ({platform.machine()})"


def _cuda() -> Any:
    import torch

    return torch.cuda
