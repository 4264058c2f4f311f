"""A victim whose plain forward already is leaded, for other people's attack libraries."""

from typing import Any

from torch import Tensor, nn

from lgm_bench.leaded.gradient import GradientMethod
from lgm_bench.leaded.slopes import calibrated


class Leaded(nn.Module):
    """Evaluates `victim` under `gradient`, so that torchattacks, foolbox, ART or AutoAttack follow that gradient.

    Args:
        victim: Network with `Occupancy` units, images (B, 3, H, W) in [0, 1] to logits (B, classes).
        gradient: The method in force during every forward pass, such as `LGM(slope=5.0)`. The slopes of `LGM("auto")`
            are measured on the first inputs, which most attacks leave clean, and stay; to measure them on inputs of
            your own, call the module on these first.

    Raises:
        ConfigError: The method softens, and the victim has no unit.
    """

    def __init__(self, victim: nn.Module, gradient: GradientMethod) -> None:
        super().__init__()
        gradient.units_of(victim)
        self.victim = victim
        self.gradient = gradient
        self.training = victim.training  # a victim in eval mode stays one for those who ask the wrapper

    def forward(self, x: Any) -> Tensor:
        """Return the victim's output for `x`; with LGM these are the leaded logits."""
        self.gradient = calibrated(self.gradient, self.victim, x)
        with self.gradient.applied_to(self.victim):
            output: Tensor = self.victim(x)
        return output
