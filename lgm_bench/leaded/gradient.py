"""Gradient methods: how occupancy is evaluated, and what gradient it lets through.

A gradient method is switched on from outside, `with LGM(slope=5).applied_to(victim): ...`; the victim's code does
not know of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.unit import Unit
from lgm_bench.voxels.neighbours import Reach
from lgm_bench.voxels.relation import VoxelSlopes


class GradientMethod:
    """Maps scores to occupancies; subclasses override `occupancy`.

    Args:
        voxels: How points and voxels are related, for networks that take point clouds.

    Attributes:
        leads: Whether occupancy carries gradient, so that voxels take part that no point lies in yet.
        slope: Slope lambda of the occupancy, or None.
        forward: "soft" or "hard", see `LGM`.
    """

    name: str = ""
    leads: bool = False
    slope: float | None = None
    forward: str = "hard"

    def __init__(self, voxels: VoxelSlopes | None = None) -> None:
        self.voxels = voxels or VoxelSlopes()

    def occupancy(self, score: Tensor, hard: Tensor) -> Tensor:
        """Return the occupancy, of the score's shape and dtype.

        Args:
            score: Real-valued scores q, any shape.
            hard: Decisions of the hard network for these scores, bool, same shape.
        """
        raise NotImplementedError

    @contextmanager
    def applied_to(self, victim: nn.Module, reach: Reach | None = None) -> Iterator[None]:
        """Let every `Unit` inside `victim` use this method until the block is left.

        Blocks may be nested; leaving one, also by an exception, restores what was there before.

        Args:
            victim: The network.
            reach: How far points can move, which bounds the voxels that take part.
        """
        units = [module for module in victim.modules() if isinstance(module, Unit)]
        previous = [(unit.gradient, unit.reach) for unit in units]
        for unit in units:
            unit.gradient, unit.reach = self, reach
        try:
            yield
        finally:
            for unit, before in zip(units, previous, strict=True):
                unit.gradient, unit.reach = before


class FGM(GradientMethod):
    """The dynamics-unaware gradient: hard occupancy, a constant to autograd (Tao et al. 2024, Eq. 3).

    Args:
        voxels: Without slopes (the default) it is the plain gradient of the hard network. With them, features and
            logits depend smoothly on where points lie in the voxels that they occupy, and only in those.
    """

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
        voxels: Slopes of the way from points to voxels and back; None: `input` and `output` are `slope` too.

    Raises:
        ConfigError: `slope` is not a positive finite number, or `forward` is unknown.
    """

    name = "lgm"
    leads = True

    def __init__(self, slope: float = 1.0, forward: str = "soft", voxels: VoxelSlopes | None = None) -> None:
        if not 0 < slope < float("inf"):
            raise ConfigError(f"slope must be a positive number, got {slope}")
        if forward not in ("soft", "hard"):
            raise ConfigError(f"forward must be 'soft' or 'hard', got {forward!r}")
        super().__init__(voxels or VoxelSlopes(input=slope, output=slope))
        self.slope: float = float(slope)
        self.forward = forward

    def occupancy(self, score: Tensor, hard: Tensor) -> Tensor:
        soft = torch.sigmoid(self.slope * score)
        if self.forward == "soft":
            return soft
        return hard.to(score.dtype) + (soft - soft.detach())  # the difference is exactly 0

    def __repr__(self) -> str:
        return f"LGM(slope={self.slope:g}, forward={self.forward!r})"
