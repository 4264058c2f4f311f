"""What an attack is up against: a victim, a gradient to follow, images, and the box they may move in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lgm_bench.attacks.checks import check_logits
from lgm_bench.attacks.history import History
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod, hard_forward


class Evaluation(NamedTuple):
    """The victim at one point, as the gradient method sees it.

    Attributes:
        logits: (B, classes).
        objective: (B,), what the attack raises.
        gradient: Gradient of the summed objective to the images, (B, 3, H, W).
    """

    logits: Tensor
    objective: Tensor
    gradient: Tensor

    def select(self, rows: Tensor) -> "Evaluation":
        """Return the evaluation of some samples only."""
        return Evaluation(*(value[rows] for value in self))


@dataclass(frozen=True)
class Problem:
    """One batch to attack.

    Attributes:
        victim: Images (B, 3, H, W) to logits (B, classes), in eval mode.
        method: The gradient method, in force only while `evaluate` runs.
        clean: The images, (B, 3, H, W).
        lower: Smallest value that each intensity may take, (B, 3, H, W).
        upper: Largest one; it equals `lower` where a pixel may not change.
        mask: Positions that may change, (1, 1, H, W) bool.
        labels: True classes, (B,) int64.
        target: Classes wanted, (B,) int64; None is an untargeted attack.
        ids: B stable sample ids.
        eps: Half-width of the box around the clean image, in intensities.
        history: Takes the verdicts about the iterates, if anybody wants to know.
    """

    victim: nn.Module
    method: GradientMethod
    clean: Tensor
    lower: Tensor
    upper: Tensor
    mask: Tensor
    labels: Tensor
    target: Tensor | None
    ids: tuple[str, ...]
    eps: float
    history: History | None = None

    @property
    def targeted(self) -> bool:
        """Whether the attack wants certain classes."""
        return self.target is not None

    @property
    def classes(self) -> Tensor:
        """The classes (B,) that the loss is about: the targets, or the labels of an untargeted attack."""
        return self.labels if self.target is None else self.target

    @property
    def evaluates_hard(self) -> bool:
        """Whether the logits of `evaluate` are those of the hard network."""
        return self.method.shows_hard

    def project(self, x: Tensor) -> Tensor:
        """Return the nearest images in the box: within eps, in the valid range, and clean outside the mask."""
        return torch.minimum(torch.maximum(x, self.lower), self.upper)

    def evaluate(self, x: Tensor, objective: Callable[[Tensor, "Problem"], Tensor]) -> Evaluation:
        """Return logits, objective and its gradient at x (B, 3, H, W), under the gradient method.

        Raises:
            ConfigError: The gradient is not finite, or the victim has fewer classes than the labels need.
        """
        x = x.detach().requires_grad_()
        with torch.enable_grad(), self.method.applied_to(self.victim):
            logits = self.victim(x)
            self.check_classes(logits)
            values = objective(logits, self)
            (gradient,) = torch.autograd.grad(values.sum(), x)
        finite = gradient.isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            bad = [name for name, good in zip(self.ids, finite.tolist(), strict=True) if not good]
            raise ConfigError(
                f"the gradient of {len(bad)} samples is not finite (first: {bad[0]!r}) under {self.method!r}; "
                "check the victim's weights, or lower the slope"
            )
        return Evaluation(logits.detach(), values.detach(), gradient)

    def hard_logits(self, x: Tensor) -> Tensor:
        """Return the hard network's logits (B, classes) for x (B, 3, H, W).

        Raises:
            ConfigError: One is NaN.
        """
        logits = hard_forward(self.victim, x)[0]
        check_logits(logits, self.ids)
        return logits

    def reached(self, logits: Tensor) -> Tensor:
        """Return which samples (B,) bool are where the attack wants them: at the target, or off the label."""
        predicted = logits.argmax(dim=1)
        return predicted != self.labels if self.target is None else predicted == self.target

    def select(self, rows: Tensor) -> "Problem":
        """Return the problem of some samples only; `rows` (B,) bool or (K,) int64."""
        chosen = torch.arange(len(self.ids))[rows.cpu()].tolist()
        return replace(
            self,
            clean=self.clean[rows],
            lower=self.lower[rows],
            upper=self.upper[rows],
            labels=self.labels[rows],
            target=None if self.target is None else self.target[rows],
            ids=tuple(self.ids[row] for row in chosen),
        )

    def check_classes(self, logits: Tensor) -> None:
        """Check that logits fit the batch and its classes.

        Raises:
            ConfigError: They do not.
        """
        if logits.ndim != 2 or logits.shape[0] != len(self.ids):
            expected = f"({len(self.ids)}, classes)"
            raise ConfigError(f"the victim gave logits of shape {tuple(logits.shape)}, expected {expected}")
        largest = int(self.classes.max())
        if largest >= logits.shape[1]:
            raise ConfigError(
                f"class {largest} is out of range: the victim knows {logits.shape[1]} classes (0 to "
                f"{logits.shape[1] - 1}); check that data and victim belong together"
            )


@contextmanager
def frozen(victim: nn.Module) -> Iterator[None]:
    """Let no parameter of `victim` require a gradient until the block is left; their .grad is never touched."""
    thawed = [parameter for parameter in victim.parameters() if parameter.requires_grad]
    for parameter in thawed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in thawed:
            parameter.requires_grad_(True)
