"""The leaded gradient method: occupancy, gradient methods, recording of decisions."""

from typing import TYPE_CHECKING

from lgm_bench.registry import lazy

if TYPE_CHECKING:
    from lgm_bench.leaded.checking import NetworkCheck, check
    from lgm_bench.leaded.compute import Controls, Costs, Tokens, decision_costs
    from lgm_bench.leaded.gates import Choice, Exit, Gate, Halting, Occupancy, TopK
    from lgm_bench.leaded.gradient import FGM, LGM, GradientMethod, Soft, StraightThrough, Unit, gradient_named
    from lgm_bench.leaded.patching import Gated, instrument
    from lgm_bench.leaded.recording import architecture, hard_forward, recorded_calls
    from lgm_bench.leaded.slopes import automatic_slopes, calibrated
    from lgm_bench.leaded.wrapper import Leaded

GRADIENTS = {
    "fgm": "lgm_bench.leaded.gradient:FGM",
    "lgm": "lgm_bench.leaded.gradient:LGM",
    "soft": "lgm_bench.leaded.gradient:Soft",
    "straight-through": "lgm_bench.leaded.gradient:StraightThrough",
}
"""Gradient methods by registered name."""
HARD_GRADIENTS = frozenset({"fgm"})
"""Those of them whose `softens` is false, for who must not import torch."""
AUTO = "auto"
"""In place of a slope: every unit gets one from the spread of its margins."""
_HOMES = {
    "checking": ("NetworkCheck", "check"),
    "compute": ("Controls", "Costs", "Tokens", "decision_costs"),
    "gates": ("Choice", "Exit", "Gate", "Halting", "Occupancy", "TopK"),
    "gradient": ("FGM", "LGM", "GradientMethod", "Soft", "StraightThrough", "Unit", "gradient_named"),
    "patching": ("Gated", "instrument"),
    "recording": ("architecture", "hard_forward", "recorded_calls"),
    "slopes": ("automatic_slopes", "calibrated"),
    "wrapper": ("Leaded",),
}
__all__ = [
    "AUTO",
    "FGM",
    "GRADIENTS",
    "HARD_GRADIENTS",
    "LGM",
    "Choice",
    "Controls",
    "Costs",
    "Exit",
    "Gate",
    "Gated",
    "GradientMethod",
    "Halting",
    "Leaded",
    "NetworkCheck",
    "Occupancy",
    "Soft",
    "StraightThrough",
    "Tokens",
    "TopK",
    "Unit",
    "architecture",
    "automatic_slopes",
    "calibrated",
    "check",
    "decision_costs",
    "gradient_named",
    "hard_forward",
    "instrument",
    "recorded_calls",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
