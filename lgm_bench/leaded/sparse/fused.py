"""The compiled product of a kernel map: `fused.cpp`, built at first use by the machine's C++ compiler."""

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

from lgm_bench.files import cache_folder
from lgm_bench.leaded.sparse.kernel_map import KernelMap

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("fused.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-pthread")
_FUNCTIONS = {torch.float32: "convolve_float", torch.float64: "convolve_double"}


def fused_product(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor | None:
    """Return the sums over a map's pairs, or None where there is no compiled code for these tensors.

    Args:
        features: (N, C_in).
        weight: (K, C_in, C_out).
        kernel_map: K offsets.
    """
    if features.device.type != "cpu" or features.dtype not in _FUNCTIONS or library() is None:
        return None
    features, weight = features.contiguous(), weight.contiguous()
    starts = kernel_map.blocks
    out = features.new_zeros(kernel_map.n_targets, weight.shape[2])
    tensors = (features, weight, out, kernel_map.source, kernel_map.target, starts)
    sizes = (len(starts) - 1, *weight.shape, torch.get_num_threads())
    function = getattr(library(), _FUNCTIONS[features.dtype])
    function(*(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors), *map(ctypes.c_int64, sizes))
    return out


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library, building it if no build for this source and processor is in the cache.

    None, with a note in the log, where it cannot be built.
    """
    path = cache_folder("kernels") / f"fused-{_build_id()}.so"
    try:
        if not path.exists():
            _build(path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or error
        log.info("sparse convolution runs without its compiled kernel, more slowly: %s", detail)
        return None


def _build(path: Path) -> None:
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise OSError("no C++ compiler was found (c++, g++, clang++, or $CXX)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        command = [compiler, *FLAGS, str(SOURCE), "-o", str(built)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        built.replace(path)


def _build_id() -> str:
    """Return a name for the source, the flags and the processor that it was optimized for."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    processor = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    text = "\n".join([SOURCE.read_text(), *FLAGS, platform.machine(), processor])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
