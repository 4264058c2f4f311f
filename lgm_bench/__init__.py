"""lgm-bench: gradient attacks on adaptive networks, with gradients that see their decisions and such that do not."""

import os
import sys
import warnings
from typing import TYPE_CHECKING

from lgm_bench.registry import lazy

# Worker threads that spin while they wait starve each other on small machines. Must be set before torch is imported.
if "torch" in sys.modules and "OMP_WAIT_POLICY" not in os.environ and sys.modules["torch"].get_num_threads() > 1:
    warnings.warn(
        "torch was imported before lgm_bench, so its idle threads spin, and beside other work attacks run many times "
        "slower; import lgm_bench first, or set OMP_WAIT_POLICY=passive in the environment",
        stacklevel=2,
    )
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if TYPE_CHECKING:
    from lgm_bench.attacks.judging import judge
    from lgm_bench.leaded import (
        FGM,
        LGM,
        Choice,
        Exit,
        Gated,
        Halting,
        Leaded,
        Occupancy,
        Soft,
        StraightThrough,
        TopK,
        architecture,
        check,
        instrument,
    )
    from lgm_bench.results.frame import results, rows
    from lgm_bench.standard.evaluate import evaluate

__version__ = "0.3.0"
__all__ = [
    "FGM",
    "LGM",
    "Choice",
    "Exit",
    "Gated",
    "Halting",
    "Leaded",
    "Occupancy",
    "Soft",
    "StraightThrough",
    "TopK",
    "__version__",
    "architecture",
    "check",
    "evaluate",
    "instrument",
    "judge",
    "results",
    "rows",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "leaded": (
            "FGM",
            "LGM",
            "Choice",
            "Exit",
            "Gated",
            "Halting",
            "Leaded",
            "Occupancy",
            "Soft",
            "StraightThrough",
            "TopK",
            "architecture",
            "check",
            "instrument",
        ),
        "attacks.judging": ("judge",),
        "standard.evaluate": ("evaluate",),
        "results": ("results",),  # a package that can be called, so `lgm_bench.results(folder)` works
        "results.frame": ("rows",),
    },
)
