"""Universal perturbations: one change for all images of a data set, learned on other images."""

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.budgets import LinfBall
from lgm_bench.attacks.problem import Problem, frozen
from lgm_bench.attacks.trace import Progress, Trace
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod, calibrated
from lgm_bench.tasks.adapter import Adapter

Batch = tuple[Tensor, Tensor, Sequence[str]]
"""Images (B, C, H, W), labels (B,) and ids."""


class Universal(Attack):
    """One change for all images (Moosavi-Dezfooli et al. 2017), by sign steps (Shafahi et al. 2020), in a ball of eps.

    `learned` returns the change: it takes the sum of the gradients over a batch, steps along its sign, clips the change
    to +-eps, and goes on with the next batch. The attack itself adds the change to each image, without any gradient.

    Args:
        steps: Number of gradients when it learns, each over one batch; they go through the batches again and again.

    Attributes:
        change: (C, H, W); None before it has learned.
        images: Number of held-out images that the cells of a benchmark learn on, the first ones.
        at_once: Number of images per gradient there.

    Raises:
        ConfigError: The budget is no L-infinity ball, or a value makes no sense.
    """

    name = "universal"
    learns = True
    options: ClassVar[tuple[str, ...]] = ("bounds", "valid_pixels", "loss", "seed")
    images, at_once = 500, 50
    change: Tensor | None = None

    @property
    def has_iterates(self) -> bool:
        """No: each image has one change."""
        return False

    def learned(
        self, victim: nn.Module, batches: Sequence[Batch], gradient: GradientMethod, adapter: Adapter | None = None
    ) -> Tensor:
        """Return a change (C, H, W) that was learned on batches; they should not be the images to attack.

        Raises:
            ConfigError: There are no images, or they differ in size.
        """
        if type(self.budget) is not LinfBall:
            raise ConfigError(f"{self.name} is for an L-infinity ball, got {type(self.budget).__name__}")
        if not batches or len({images.shape[1:] for images, *_ in batches}) > 1:
            raise ConfigError(f"{self.name} learns on images of one size, and needs at least one")
        gradient = calibrated(gradient, victim, batches[0][0], self.steps)
        change = torch.zeros_like(batches[0][0][0])
        with torch.no_grad(), frozen(victim):
            for number in range(self.steps):
                images, labels, ids = batches[number % len(batches)]
                problem = self.problem(victim, images, labels, gradient=gradient, ids=ids, adapter=adapter)
                evaluation = problem.evaluate(problem.project(images + change), self.objective)
                problem.require_finite()
                moved = change + self.step * self.budget.direction(evaluation.gradient.sum(dim=0))
                change = moved.clamp(-self.eps, self.eps) * self.budget.allowed(images)[0]
        return change

    def with_change(self, change: Tensor) -> "Universal":
        """Return the attack with a change (C, H, W)."""
        other = copy.copy(self)
        other.change = change
        return other

    def run(self, problem: Problem, trace: Trace, progress: Progress, *, history: bool) -> None:
        """Add the change to each image.

        Raises:
            ConfigError: Nothing has been learned, the images have another size, or the attack is targeted.
        """
        if self.change is None:
            raise ConfigError("universal has no change yet; call with_change(learned(victim, batches, gradient)) first")
        if problem.targeted or self.change.shape != problem.clean.shape[1:]:
            raise ConfigError(
                f"universal learned one untargeted change for images {tuple(self.change.shape)}; got images "
                f"{tuple(problem.clean.shape[1:])}{' and targets' * problem.targeted}"
            )
        moved = problem.project(problem.clean + self.change.to(problem.clean))
        trace.keep(problem, moved, torch.ones_like(problem.samples, dtype=torch.bool), self.steps)
        progress(self.steps, self.steps)
