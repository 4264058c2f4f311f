"""The leaded gradient method: occupancy, gradient methods, recording of decisions."""

from lgm_bench.leaded.gradient import FGM, LGM, GradientMethod
from lgm_bench.leaded.occupancy import Occupancy
from lgm_bench.leaded.recording import architecture, hard_forward, recorded_calls
from lgm_bench.leaded.wrapper import Leaded

__all__ = [
    "FGM",
    "LGM",
    "GradientMethod",
    "Leaded",
    "Occupancy",
    "architecture",
    "hard_forward",
    "recorded_calls",
]
