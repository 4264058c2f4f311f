"""What computed a number: versions, source tree, device."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from lgm_bench import __version__

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


def describe_device(device: torch.device) -> str:
    """Return a device in words."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({platform.machine()})"
