"""lgm-bench: the leaded gradient against the dynamics-unaware one, on adaptive networks."""

import os
from typing import TYPE_CHECKING, Any

# Worker threads that spin while they wait starve each other on small machines; this has to be set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if TYPE_CHECKING:
    from lgm_bench.leaded import (
        FGM,
        LGM,
        Choice,
        Exit,
        Halting,
        Leaded,
        Occupancy,
        Soft,
        StraightThrough,
        TopK,
        architecture,
    )
    from lgm_bench.results.frame import results, rows

__version__ = "0.2.0"
__all__ = [
    "FGM",
    "LGM",
    "Choice",
    "Exit",
    "Halting",
    "Leaded",
    "Occupancy",
    "Soft",
    "StraightThrough",
    "TopK",
    "__version__",
    "architecture",
    "results",
    "rows",
]


def __getattr__(name: str) -> Any:
    """Import the method, and torch with it, when it is asked for: the command line's --help does not need it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "results":  # the package can be called, as the submodule of this name has to be what this name is
        return import_module("lgm_bench.results")
    return getattr(import_module("lgm_bench.results.frame" if name == "rows" else "lgm_bench.leaded"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
