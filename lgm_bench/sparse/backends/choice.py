"""Which backend is in force."""

from functools import cache
from types import TracebackType

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.registry import resolve
from lgm_bench.sparse.backends.interface import Backend

NATIVE = "native"
BACKENDS = {
    NATIVE: "lgm_bench.sparse.backends.native:NativeBackend",
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


class use_backend:  # noqa: N801  it reads as a statement: `with use_backend("spconv"):`
    """Let a backend compute the convolutions of this process from here on, or inside a `with` block only.

    Args:
        name: "native" (the default), "minkowski" or "spconv".

    Raises:
        UnknownNameError: There is no such backend; the nearest names are listed.
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
