"""A victim whose plain forward already is leaded, for other people's attack libraries."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lgm_bench.leaded import AUTO
from lgm_bench.leaded.gradient import GradientMethod
from lgm_bench.leaded.slopes import calibrated

SOFT_PREDICTIONS = (
    "predictions of a Leaded network are those of the soft network, not of the network itself: judge attacks on the "
    "network, and let attacks that look for the smallest change follow StraightThrough()"
)


class Leaded(nn.Module):
    """Evaluates `victim` under `gradient`, so that torchattacks, foolbox, ART or AutoAttack follow that gradient.

    Judge the results on `victim` itself. Under a method with a soft forward pass (`LGM`, `Soft`) the outputs of this
    module are those of the soft network, whose predictions and success rates say nothing about the victim's. Attacks
    that look for the smallest change (DeepFool, FAB, Carlini & Wagner's) stop at the soft network's boundary: let them
    follow `StraightThrough`, whose outputs are the hard network's. A warning says so once, when outputs of a soft
    network are computed without a gradient, as for predictions.

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
        self._warned = False
        self.training = victim.training  # a victim in eval mode stays one for those who ask the wrapper

    def forward(self, x: Any) -> Tensor:
        """Return the victim's output for `x`; with LGM these are the leaded logits."""
        measured = self.gradient.slope == AUTO
        self.gradient = calibrated(self.gradient, self.victim, x)
        if not self._warned and self._reads_predictions(x, measured):
            self._warned = True
            warnings.warn(SOFT_PREDICTIONS, stacklevel=2)
        with self.gradient.applied_to(self.victim):
            output: Tensor = self.victim(x)
        return output

    def _reads_predictions(self, x: Any, measured: bool) -> bool:
        """Return whether a forward pass is one of the soft network, for which no gradient is wanted."""
        soft = self.gradient.softens and not self.gradient.shows_hard
        wants_gradient = torch.is_grad_enabled() and any(
            value.requires_grad for value in tree_leaves(x) if isinstance(value, Tensor)
        )
        return soft and not wants_gradient and not measured
