"""Recording what an adaptive network decided."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from lgm_bench.leaded.gradient import FGM
from lgm_bench.leaded.occupancy import Occupancy


class Call(NamedTuple):
    """One use of an `Occupancy`: the unit, its score, the occupancy that it returned, and the slope in force."""

    unit: Occupancy
    score: Tensor
    occupancy: Tensor
    slope: float


@contextmanager
def recorded_calls(victim: nn.Module) -> Iterator[list[Call]]:
    """Yield a list that collects every `Occupancy` call inside `victim`, in call order, attached to the graph."""
    calls: list[Call] = []

    def note(unit: nn.Module, arguments: tuple[Any, ...], occupancy: Tensor) -> None:
        if isinstance(unit, Occupancy):
            calls.append(Call(unit, arguments[0], occupancy, unit.slope))

    handles = [m.register_forward_hook(note) for m in victim.modules() if isinstance(m, Occupancy)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def hard_units(victim: nn.Module, x: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the hard network's output for `x` and its decisions by unit, from one forward pass without gradients.

    A unit has the name of its module; one that is used several times has the later uses as "name#2" and so on. Units
    are in call order, bool in the shape of the score. The network gets a copy of `x`, so that one that normalizes in
    place does not change the caller's.
    """
    with FGM().applied_to(victim), recorded_calls(victim) as calls:
        output = victim(tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, x))
    names = {module: name for name, module in victim.named_modules() if isinstance(module, Occupancy)}
    decisions: dict[str, Tensor] = {}
    uses: Counter[str] = Counter()
    for call in calls:
        name = names[call.unit]
        uses[name] += 1
        name = name if uses[name] == 1 else f"{name}#{uses[name]}"
        decisions[name] = call.unit.hard(call.score.detach())
    return output, decisions


def hard_forward(victim: nn.Module, x: Any) -> tuple[Tensor, list[Tensor]]:
    """Return the hard network's output for `x` and its decisions in call order, see `hard_units`."""
    output, decisions = hard_units(victim, x)
    return output, list(decisions.values())


def architecture(victim: nn.Module, x: Any) -> list[Tensor]:
    """Return what the hard network switches on for `x`: one bool tensor for each adaptive unit, in call order.

    Args:
        victim: Any module with `Occupancy` units inside; a network without any gives an empty list.
        x: Its input, such as images (B, 3, H, W) in [0, 1].
    """
    return hard_forward(victim, x)[1]
