"""What gradient methods switch: the places where a network decides what to compute."""

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from lgm_bench.leaded.gradient import GradientMethod
    from lgm_bench.voxels.neighbours import Reach


class Unit(nn.Module):
    """A place where a network decides; hard, until a `GradientMethod` is applied to a network that it is part of.

    Attributes:
        gradient: The method in force.
        reach: How far the attack in progress can move points; None for images, and where nothing bounds it.
    """

    gradient: "GradientMethod"
    reach: "Reach | None"

    def __init__(self) -> None:
        from lgm_bench.leaded.gradient import FGM

        super().__init__()
        self.gradient = FGM()
        self.reach = None
