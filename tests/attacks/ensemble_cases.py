"""Small victims and problems for the tests of AutoAttack and its members."""

from typing import Any

import torch
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench import FGM, Occupancy
from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.budgets import Box, LinfBall
from lgm_bench.attacks.objective import Pass
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.trace import AttackResult
from lgm_bench.leaded import GradientMethod
from lgm_bench.tasks.tensors import Images

BITS = 1 / 255
"""One step of an intensity of 8 bits."""


class Gated(nn.Module):
    """Two convolutional branches of which the second only runs where a score says so; 5 classes, float64."""

    def __init__(self, seed: int = 0, classes: int = 5) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Conv2d(3, 6, 3, padding=1)
            self.second = nn.Conv2d(3, 6, 3, padding=1)
            self.score = nn.Conv2d(3, 1, 3, padding=1)
            self.head = nn.Linear(6, classes)
        self.score.weight.data.mul_(12)
        self.score.bias.data.zero_()
        self.occupancy = Occupancy()
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        centred = x - 0.5
        branch = self.occupancy(self.score(centred)) * self.second(centred).sin()
        return 60 * self.head((self.first(centred).relu() + branch).mean(dim=(2, 3)))


class Ungated(Gated):
    """The same network without its gate: both branches always run."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        del self.occupancy

    def forward(self, x: Tensor) -> Tensor:
        centred = x - 0.5
        return 60 * self.head((self.first(centred).relu() + self.second(centred).sin()).mean(dim=(2, 3)))


class Linear(nn.Module):
    """Logits that are linear in the image: everything about its boundaries is known."""

    def __init__(self, classes: int = 3, size: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * size * size, classes, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        self.layer.weight.data.normal_(generator=generator)
        self.layer.bias.data.zero_()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1) - 0.5)


class Seen(nn.Module):
    """Notes every image that it is asked about, and whether a gradient could be taken."""

    def __init__(self, victim: nn.Module) -> None:
        super().__init__()
        self.victim = victim
        self.queries: list[Tensor] = []
        self.differentiates = False
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.queries.append(x.clone())
        self.differentiates |= x.requires_grad or torch.is_grad_enabled()
        return self.victim(x)


def images(count: int, size: int = 8, seed: int = 0, margin: float = 0.0) -> Tensor:
    """Random images (count, 3, size, size) that keep `margin` from 0 and 1."""
    draws = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return margin + (1 - 2 * margin) * draws


@torch.no_grad()
def batch_for(victim: nn.Module, x: Tensor) -> ImageBatch:
    """The images with the victim's own predictions as labels, so that every one of them stands."""
    return ImageBatch(x, victim(x).argmax(dim=1), [f"sample-{number:03d}" for number in range(len(x))])


def attacked(
    attack: Attack,
    victim: nn.Module,
    batch: ImageBatch,
    method: GradientMethod | None = None,
    target: Tensor | None = None,
    **options: Any,
) -> AttackResult:
    """What an attack makes of a batch."""
    images, labels, ids = batch
    return attack.attack(victim, images, labels, gradient=method or FGM(), target=target, ids=ids, **options)


def perturbed(
    attack: Attack,
    victim: nn.Module,
    batch: ImageBatch,
    method: GradientMethod | None = None,
    target: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """The images that an attack makes of a batch."""
    images, labels, ids = batch
    return attack.perturb(victim, images, labels, gradient=method or FGM(), target=target, ids=ids, **options)


def problem_for(
    victim: nn.Module,
    batch: ImageBatch,
    eps: float,
    method: GradientMethod | None = None,
    mask: Tensor | None = None,
    target: Tensor | None = None,
) -> tuple[Problem, LinfBall, Box]:
    """What the members are handed: the problem, its budget in [0, 1], and the box around the images."""
    x, labels, ids = batch
    budget = LinfBall(eps, mask=mask)
    box = budget.around(x)
    everything = torch.arange(len(x))
    problem = Problem(
        adapter=Images(),
        victim=victim.requires_grad_(False),
        method=method or FGM(),
        inputs=x,
        labels=labels,
        target=target,
        ids=tuple(ids),
        region=box,
        eps=eps,
        step=eps,
        samples=everything,
        rows=everything,
        spent=torch.zeros_like(everything),
        broken=torch.zeros_like(everything),
    )
    return problem, budget, box


def seen_by(logits: Tensor, labels: Tensor, target: Tensor | None = None) -> Pass:
    """What an objective is given, of images that it does not look at."""
    everything = torch.arange(len(labels))
    nothing = logits.new_zeros(len(labels), 1)
    return Pass(logits, labels, target, nothing, nothing, everything, everything, [])
