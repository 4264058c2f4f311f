"""Backends that compute the sums of sparse convolutions: our own code, spconv-triton, spconv or MinkowskiEngine."""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Protocol

from torch import Tensor

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.registry import resolve
from lgm_bench.sparse.kernel_map import KernelMap
from lgm_bench.sparse.level import CoordinateLevel, Triple
from lgm_bench.sparse.product import product

NATIVE = "native"
SPCONV_TRITON = "spconv-triton"
BACKENDS = {
    NATIVE: "lgm_bench.sparse.backends:NativeBackend",
    "minkowski": "lgm_bench.sparse.backends.minkowski:MinkowskiBackend",
    "spconv": "lgm_bench.sparse.backends.spconv:SpconvBackend",
    SPCONV_TRITON: "lgm_bench.sparse.backends.spconv_triton:SpconvTritonBackend",
}
INSTALLATION = {
    "minkowski": (
        "apt-get install libopenblas-dev; pip install wheel ninja 'setuptools<81'; "
        "pip install --no-build-isolation --no-deps --no-binary MinkowskiEngine MinkowskiEngine==0.5.4 "
        "(Python 3.11 at most; see docs/backends.md)"
    ),
    "spconv": "pip install 'lgm-bench[spconv]'",
    SPCONV_TRITON: "pip install 'lgm-bench[gpu]', beside a PyTorch for GPUs, which has Triton",
}


@dataclass(frozen=True)
class Convolution:
    """A convolution between two levels.

    Attributes:
        source: The input's voxels.
        target: The output's voxels.
        kernel_map: The pairs.
        kernel_size: Size of the box of offsets.
        transposed: Whether offsets lead from source to target (upsampling) rather than from target to source.
    """

    source: CoordinateLevel
    target: CoordinateLevel
    kernel_map: KernelMap
    kernel_size: Triple
    transposed: bool = False


class Backend(Protocol):
    """Computes convolutions, without occupancy, norms and coordinate levels."""

    name: str

    def convolve(self, features: Tensor, weight: Tensor, convolution: Convolution) -> Tensor:
        """Return out (M, C_out), out[target] = sum of features[source] @ weight[k], with gradients to both.

        Args:
            features: (N, C_in) on the source's voxels.
            weight: (K, C_in, C_out), offsets with x running fastest.
            convolution: Levels and pairs.
        """
        ...


class NativeBackend:
    """Our own kernels, or plain PyTorch on GPUs and where they cannot be compiled."""

    name = "native"

    def convolve(self, features: Tensor, weight: Tensor, convolution: Convolution) -> Tensor:
        """Return the sums over the pairs."""
        return product(features, weight, convolution.kernel_map)


class use_backend:  # noqa: N801  it reads as a statement: `with use_backend("spconv"):`
    """Set the backend of all convolutions in this process, from here on or only in a `with` block.

    Args:
        name: One of `BACKENDS`.

    Raises:
        UnknownNameError: There is no such backend.
        ConfigError: It is not installed; the message says how to install it.
    """

    def __init__(self, name: str) -> None:
        global _active
        self._before, self._backend = _active, _loaded(name)
        _active = self._backend

    def __enter__(self) -> Backend:
        return self._backend

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _active
        _active = self._before


_active: Backend | None = None


def active_backend(device: str = "cpu") -> Backend:
    """Return the backend in force for a type of device: the one that was set, else the usual one."""
    return _active or _loaded(usual_backend(device))


@cache
def usual_backend(device: str) -> str:
    """Return the backend for a type of device if none is set: spconv-triton on GPUs where it is installed, or native.

    PyTorch calls GPUs of NVIDIA and of AMD "cuda".
    """
    if device == "cuda":
        with suppress(ConfigError):
            return _loaded(SPCONV_TRITON).name
    return NATIVE


@cache
def _loaded(name: str) -> Backend:
    if name not in BACKENDS:
        raise UnknownNameError("backend", name, BACKENDS)
    try:
        backend: Backend = resolve("backend", name, BACKENDS)()
    except ImportError as error:
        raise ConfigError(
            f"the backend {name!r} cannot be imported ({error}); install it: {INSTALLATION[name]}"
        ) from error
    return backend
