"""Recording what an adaptive network decided."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lgm_bench.leaded.gradient import FGM
from lgm_bench.leaded.occupancy import Occupancy


@contextmanager
def recorded_scores(victim: nn.Module) -> Iterator[list[tuple[Occupancy, Tensor]]]:
    """Yield a list that collects (unit, score) of every `Occupancy` call inside `victim`, in call order."""
    calls: list[tuple[Occupancy, Tensor]] = []

    def note(unit: nn.Module, arguments: tuple[Any, ...]) -> None:
        if isinstance(unit, Occupancy):
            calls.append((unit, arguments[0]))

    handles = [m.register_forward_pre_hook(note) for m in victim.modules() if isinstance(m, Occupancy)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recorded_architecture(victim: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that collects the hard decisions (bool, shape of the score) of every unit, in call order."""
    decisions: list[Tensor] = []
    with recorded_scores(victim) as calls:
        yield decisions
    decisions.extend(unit.hard(score.detach()) for unit, score in calls)


@torch.no_grad()
def hard_forward(victim: nn.Module, x: Any) -> tuple[Tensor, list[Tensor]]:
    """Return the hard network's output for `x` and its decisions, from one forward pass without gradients."""
    with FGM().applied_to(victim), recorded_architecture(victim) as decisions:
        output = victim(x)
    return output, decisions


def architecture(victim: nn.Module, x: Any) -> list[Tensor]:
    """Return what the hard network switches on for `x`: one bool tensor for each adaptive unit, in call order.

    Args:
        victim: Any module with `Occupancy` units inside; a network without any gives an empty list.
        x: Its input, such as images (B, 3, H, W) in [0, 1].
    """
    return hard_forward(victim, x)[1]
