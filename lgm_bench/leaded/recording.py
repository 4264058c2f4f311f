"""Recording what an adaptive network decided."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from lgm_bench.leaded.gates import PRESENT, Gate
from lgm_bench.leaded.gradient import FGM


class Call(NamedTuple):
    """One use of a gate.

    Attributes:
        unit: The gate.
        score: What it was given, (B, ...).
        occupancy: What it returned, attached to the graph as the score is.
        slope: The slope in force.
        name: Name of the gate in the network. The later uses of a gate are "name#2" and so on.
        present: The occupancy of what decided, see `Gate.forward`.
        outputs: What each exit answers, see `Exit.forward`.
    """

    unit: Gate
    score: Tensor
    occupancy: Tensor
    slope: float
    name: str
    present: Tensor | None = None
    outputs: Tensor | None = None

    @property
    def margin(self) -> Tensor:
        """The margins, shape of the score; infinite where nothing was there to decide."""
        margin = self.unit.margin(self.unit.candidates(self.score, self.present))
        return margin if self.present is None else margin.masked_fill(self.present < PRESENT, math.inf)

    @property
    def executed(self) -> Tensor:
        """How far what each decision controls is executed, (B, ...) in [0, 1]; of the hard network 0 or 1."""
        return self.unit.executed(self.occupancy)


@contextmanager
def recorded_calls(victim: nn.Module) -> Iterator[list[Call]]:
    """Yield a list that collects every use of a gate inside `victim`, in call order, attached to the graph."""
    calls: list[Call] = []
    names = {module: name for name, module in victim.named_modules() if isinstance(module, Gate)}
    uses: Counter[str] = Counter()

    def note(unit: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any], occupancy: Tensor) -> None:
        if isinstance(unit, Gate):
            uses[names[unit]] += 1
            number = uses[names[unit]]
            name = names[unit] if number == 1 else f"{names[unit]}#{number}"
            given = dict(zip(("score", "present", "outputs"), arguments, strict=False)) | options
            calls.append(Call(unit, occupancy=occupancy, slope=unit.slope, name=name, **given))

    handles = [gate.register_forward_hook(note, with_kwargs=True) for gate in names]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def hard_calls(victim: nn.Module, x: Any) -> tuple[Tensor, list[Call]]:
    """Return the hard network's output for `x` and every use of a gate, from one forward pass without gradients.

    The network gets a copy of `x`, so that one that normalizes in place does not change the caller's.
    """
    with FGM().applied_to(victim), recorded_calls(victim) as calls:
        output = victim(tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, x))
    return output, calls


def hard_units(victim: nn.Module, x: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the hard network's output for `x` and its decisions by unit, from one forward pass without gradients.

    Decisions have the names of the calls that made them. They are in call order, bool, and say what is executed: for
    early exits which of the later stages run, for all other gates what is switched on.
    """
    output, calls = hard_calls(victim, x)
    return output, {call.name: call.executed > PRESENT for call in calls}


def hard_forward(victim: nn.Module, x: Any) -> tuple[Tensor, list[Tensor]]:
    """Return the hard network's output for `x` and its decisions in call order, see `hard_units`."""
    output, decisions = hard_units(victim, x)
    return output, list(decisions.values())


def architecture(victim: nn.Module, x: Any) -> list[Tensor]:
    """Return what the hard network switches on for `x`: one bool tensor for each adaptive unit, in call order.

    Args:
        victim: Any module with gates inside; a network without any gives an empty list.
        x: Its input, such as images (B, 3, H, W) in [0, 1].
    """
    return hard_forward(victim, x)[1]
