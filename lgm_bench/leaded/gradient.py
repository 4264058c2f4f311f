"""Gradient methods: how occupancy is evaluated, and what gradient it lets through.

A gradient method is switched on from outside, `with LGM(slope=5).applied_to(victim): ...`; the victim's code does
not know of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError


class GradientMethod:
    """Maps scores to occupancies; subclasses override `occupancy`."""

    name: str = ""

    def occupancy(self, score: Tensor, hard: Tensor) -> Tensor:
        """Return the occupancy, of the score's shape and dtype.

        Args:
            score: Real-valued scores q, any shape.
            hard: Decisions of the hard network for these scores, bool, same shape.
        """
        raise NotImplementedError

    @contextmanager
    def applied_to(self, victim: nn.Module) -> Iterator[None]:
        """Let every `Occupancy` inside `victim` use this method until the block is left.

        Blocks may be nested; leaving one, also by an exception, restores what was there before.
        """
        from lgm_bench.leaded.occupancy import Occupancy

        units = [module for module in victim.modules() if isinstance(module, Occupancy)]
        previous = [unit.gradient for unit in units]
        for unit in units:
            unit.gradient = self
        try:
            yield
        finally:
            for unit, gradient in zip(units, previous, strict=True):
                unit.gradient = gradient


class FGM(GradientMethod):
    """The dynamics-unaware gradient: hard occupancy, a constant to autograd (Tao et al. 2024, Eq. 3)."""

    name = "fgm"

    def occupancy(self, score: Tensor, hard: Tensor) -> Tensor:
        return hard.to(score.dtype)

    def __repr__(self) -> str:
        return "FGM()"


class LGM(GradientMethod):
    """The leaded gradient: occupancy is a sigmoid of the score (Tao et al. 2024, Eq. 4, 13, 15, 19).

    Args:
        slope: Positive slope lambda of the sigmoid.
        forward: "soft" evaluates the network with sigmoid(slope * q) (the paper's choice); "hard" keeps the hard
            decisions in the forward pass and differentiates the sigmoid (straight-through).

    Raises:
        ConfigError: `slope` is not a positive finite number, or `forward` is unknown.
    """

    name = "lgm"

    def __init__(self, slope: float = 1.0, forward: str = "soft") -> None:
        if not 0 < slope < float("inf"):
            raise ConfigError(f"slope must be a positive number, got {slope}")
        if forward not in ("soft", "hard"):
            raise ConfigError(f"forward must be 'soft' or 'hard', got {forward!r}")
        self.slope = float(slope)
        self.forward = forward

    def occupancy(self, score: Tensor, hard: Tensor) -> Tensor:
        soft = torch.sigmoid(self.slope * score)
        if self.forward == "soft":
            return soft
        return hard.to(score.dtype) + (soft - soft.detach())  # the difference is exactly 0

    def __repr__(self) -> str:
        return f"LGM(slope={self.slope:g}, forward={self.forward!r})"
