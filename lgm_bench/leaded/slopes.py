"""Automatic slopes: each unit gets one from the spread of its margins on clean inputs.

docs/slopes.md has the measurements behind the rule and its constants.
"""

import copy
import math
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lgm_bench.leaded import AUTO
from lgm_bench.leaded.gates import Exit
from lgm_bench.leaded.gradient import GradientMethod, Unit
from lgm_bench.leaded.recording import hard_forward, recorded_calls

ONE_STEP, MANY_STEPS = 1.0, 20.0
"""Slope times the root mean square of the unit's margins, for attacks of one step and of several.

One step has to see the whole ball from its centre, so gates must be soft. Small steps gain more from a soft network
that is close to the hard one.
"""

MANY_STEPS_OF_EXITS = 6.0
"""The same for early exits and several steps.

The answer of a late exit has the occupancies of all earlier ones as factors. With a steep slope hardly any image has a
product that is neither 0 nor 1, and the gradient through the exits is lost.
"""

Method = TypeVar("Method", bound=GradientMethod)


def calibrated(gradient: Method, victim: nn.Module, inputs: Any, steps: int | None = None) -> Method:
    """Return a gradient method with a slope for each unit in place of "auto"; a method that has slopes is unchanged.

    Args:
        gradient: The method.
        victim: The network that is to be attacked, in eval mode.
        inputs: Clean inputs, such as images (B, 3, H, W); the same ones give the same slopes.
        steps: Number of steps of the attack; None: several.
    """
    if gradient.slope != AUTO:
        return gradient
    found = copy.copy(gradient)
    found.slope = automatic_slopes(victim, inputs, ONE_STEP if steps == 1 else None)
    return found


def automatic_slopes(victim: nn.Module, inputs: Any, constant: float | None = None) -> dict[str, float]:
    """Return constant / (root mean square of its margins) for each unit without a slope of its own, by its name.

    A unit that no input reaches, or whose margins are all 0, gets the median of the units' spreads.

    Args:
        victim: The network, in eval mode.
        inputs: Clean inputs.
        constant: Of all units. None: the constants for several steps, `MANY_STEPS` and `MANY_STEPS_OF_EXITS`.
    """
    units = {
        name: unit for name, unit in victim.named_modules() if isinstance(unit, Unit) and unit.own_slope(None) is None
    }
    if not units:
        return {}
    with recorded_calls(victim) as calls:
        hard_forward(victim, inputs)
    spreads = {name: rms(call.margin for call in calls if call.unit is unit) for name, unit in units.items()}
    known = sorted(spread for spread in spreads.values() if spread > 0)
    usual = known[len(known) // 2] if known else 1.0
    constants = {
        name: constant or (MANY_STEPS_OF_EXITS if isinstance(unit, Exit) else MANY_STEPS)
        for name, unit in units.items()
    }
    return {name: float(f"{constants[name] / (spread or usual):.3g}") for name, spread in spreads.items()}


def rms(margins: Iterable[Tensor]) -> float:
    """Return the root mean square of all finite values, or 0 if there are none."""
    values = torch.cat([margin.detach().flatten().double() for margin in margins] or [torch.zeros(0)])
    values = values[values.isfinite()]
    return math.sqrt(values.square().mean().item()) if len(values) else 0.0
