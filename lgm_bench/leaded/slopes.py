"""Automatic slopes: every unit gets one from the spread of its margins on clean inputs.

docs/slopes.md has the measurements that the rule and its two constants come from.
"""

import copy
import math
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lgm_bench.leaded import AUTO
from lgm_bench.leaded.gradient import GradientMethod, Unit
from lgm_bench.leaded.recording import hard_forward, recorded_calls

ONE_STEP, MANY_STEPS = 1.0, 20.0
"""Slope times the unit's margin, in the root mean square, for attacks of a single step and of several.

A single step has to see the whole ball from where it starts, for which gates must be soft. Small steps gain more from a
soft network that is close to the hard one.
"""

Method = TypeVar("Method", bound=GradientMethod)


def calibrated(gradient: Method, victim: nn.Module, inputs: Any, steps: int | None = None) -> Method:
    """Return a gradient method with a slope for every unit in place of "auto"; one that has slopes as it is.

    Args:
        gradient: The method.
        victim: The network that it is going to be applied to, in eval mode.
        inputs: Clean inputs, such as images (B, 3, H, W); the same ones give the same slopes.
        steps: Number of steps of the attack; None: several.
    """
    if gradient.slope != AUTO:
        return gradient
    found = copy.copy(gradient)
    found.slope = automatic_slopes(victim, inputs, ONE_STEP if steps == 1 else MANY_STEPS)
    return found


def automatic_slopes(victim: nn.Module, inputs: Any, constant: float = MANY_STEPS) -> dict[str, float]:
    """Return a slope for each unit that needs one, by the unit's name in `victim`: constant / rms of its margins.

    A unit that no input reaches, or whose margins are all 0, gets the slope of the median of the other ones' rms.

    Args:
        victim: The network.
        inputs: Clean inputs.
        constant: Slope times rms.
    """
    units = {
        name: unit for name, unit in victim.named_modules() if isinstance(unit, Unit) and unit.own_slope(None) is None
    }
    if not units:
        return {}
    with recorded_calls(victim) as calls:
        hard_forward(victim, inputs)
    spreads = {name: _rms(call.score for call in calls if call.unit is unit) for name, unit in units.items()}
    known = sorted(spread for spread in spreads.values() if spread > 0)
    usual = known[len(known) // 2] if known else 1.0
    return {name: float(f"{constant / (spread or usual):.3g}") for name, spread in spreads.items()}


def _rms(margins: Iterable[Tensor]) -> float:
    """Return the root mean square of all finite values, 0 where there are none."""
    values = torch.cat([margin.detach().flatten().double() for margin in margins] or [torch.zeros(0)])
    values = values[values.isfinite()]
    return math.sqrt(values.square().mean().item()) if len(values) else 0.0
