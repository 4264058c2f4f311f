"""Backends that compute the sums of sparse convolutions: our own code, MinkowskiEngine or spconv."""

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
BACKENDS = {
    NATIVE: "lgm_bench.sparse.backends:NativeBackend",
    "minkowski": "lgm_bench.sparse.backends.minkowski:MinkowskiBackend",
    "spconv": "lgm_bench.sparse.backends.spconv:SpconvBackend",
}
INSTALLATION = {
    "minkowski": (
        "apt-get install libopenblas-dev; pip install wheel ninja 'setuptools<81'; "
        "pip install --no-build-isolation --no-deps --no-binary MinkowskiEngine MinkowskiEngine==0.5.4 "
        "(Python 3.11 at most; see docs/backends.md)"
    ),
    "spconv": "pip install 'lgm-bench[spconv]'",
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
    """Our own kernels, or plain PyTorch if they cannot be compiled; the default."""

    name = "native"

    def convolve(self, features: Tensor, weight: Tensor, convolution: Convolution) -> Tensor:
        """Return the sums over the pairs."""
        return product(features, weight, convolution.kernel_map)


class use_backend:  # noqa: N801  it reads as a statement: `with use_backend("spconv"):`
    """Set the backend of all convolutions in this process, from here on or only in a `with` block.

    Args:
        name: "native" (the default), "minkowski" or "spconv".

    Raises:
        UnknownNameError: There is no such backend.
        ConfigError: It is not installed; the message says how to install it.
    """

    def __init__(self, name: str) -> None:
        global _active
        self._before = active_backend()
        _active = _loaded(name)

    def __enter__(self) -> Backend:
        return active_backend()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _active
        _active = self._before


_active: Backend | None = None


def active_backend() -> Backend:
    """Return the backend in force."""
    return _active or _loaded(NATIVE)


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
