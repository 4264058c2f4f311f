"""Compiled functions: the C++ beside this file, built at first use with the machine's compiler."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lgm_bench.files import cache_folder, write_whole

log = logging.getLogger(__name__)

SOURCES, HEADERS = (tuple(sorted(Path(__file__).parent.glob(pattern))) for pattern in ("*.cpp", "*.h"))
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-pthread")
FLOATING = {torch.float32: "float", torch.float64: "double"}
"""Types with compiled functions, and the suffixes of the functions' names."""

_failure = ""


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library, after building it unless the cache has a build of these sources for this processor.

    None, with a note in the log, if it cannot be built; `why_not` returns the reason.
    """
    global _failure
    path = cache_folder("kernels") / f"sparse-{_build_id()}.so"
    try:
        if not _intact(path):
            _build(path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        _failure = str(getattr(error, "stderr", "") or error)
        log.info("sparse convolution runs without its compiled kernel, more slowly: %s", _failure)
        return None


def why_not() -> str:
    """Return why there is no compiled library; empty if there is one."""
    return _failure if library() is None else ""


def usable(*tensors: Tensor) -> bool:
    """Return whether compiled code can use these tensors: they are on the CPU, and the library is there."""
    return all(tensor.device.type == "cpu" for tensor in tensors) and library() is not None


def call(name: str, *arguments: Tensor | int) -> int:
    """Call a function of the library; contiguous tensors are passed by address."""
    function = getattr(library(), name)
    function.restype = ctypes.c_int64
    values = (ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else ctypes.c_int64(a) for a in arguments)
    result: int = function(*values)
    return result


def _build(path: Path) -> None:
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise OSError("no C++ compiler was found (c++, g++, clang++, or $CXX)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        command = [compiler, *FLAGS, *map(str, SOURCES), "-o", str(built)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        _keep(path, built.read_bytes())


def _keep(path: Path, build: bytes) -> None:
    """Write a build, and then its sha256 beside it."""
    write_whole(path, build)
    write_whole(path.with_suffix(".sha256"), hashlib.sha256(build).hexdigest().encode())


def _intact(path: Path) -> bool:
    """Return whether a build is as it was written; loading a damaged one could end the process."""
    try:
        return path.with_suffix(".sha256").read_bytes() == hashlib.sha256(path.read_bytes()).hexdigest().encode()
    except OSError:
        return False


def _build_id() -> str:
    """Return a hash of the sources, the flags and the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    processor = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    sources = [source.read_text() for source in (*SOURCES, *HEADERS)]
    text = "\n".join([*sources, *FLAGS, platform.machine(), processor])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
