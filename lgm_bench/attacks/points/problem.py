"""What an attack on point clouds is up against: a victim, a gradient to follow, scenes, and the cubes they move in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lgm_bench.attacks.points.verdict import Verdict, class_verdict, scene_verdict
from lgm_bench.attacks.points.work import counted_work
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod, hard_forward
from lgm_bench.voxels import PointCloud, Reach


@dataclass(frozen=True)
class Part:
    """Scenes that go through the network together.

    Attributes:
        clean: Their clean points; scenes count from 0.
        labels: (N,) int64 of points or (B,) of shapes.
        rows: Where their points stand in the batch.
        ids: Scene ids.
    """

    clean: PointCloud
    labels: Tensor
    rows: slice
    ids: tuple[str, ...]


Objective = Callable[[Tensor, Tensor, PointCloud, Part], Tensor]


class Evaluation(NamedTuple):
    """The victim at one place of the points, as the gradient method sees it.

    Attributes:
        gradient: (N, 3), of the objective to the points.
        voxels: (B,) int64, voxels that took part in each scene's forward pass.
        gflops: (B,) float64, operations of that pass in 1e9, see `Work.gflops`.
    """

    gradient: Tensor
    voxels: Tensor
    gflops: Tensor


@dataclass(frozen=True)
class PointProblem:
    """One batch to attack.

    Attributes:
        victim: A `PointVictim` in eval mode, or what has its `task`, `scored` and `voxelization`.
        method: The gradient method, in force only while `evaluate` runs.
        clean: The points of B scenes.
        labels: (N,) int64 of points or (B,) of shapes.
        ids: B stable scene ids.
        eps: Half-width of the cube around a clean point, metres.
        step: Largest move along an axis in one iteration, metres.
        ignored_classes: Classes that take no part in the mIoU.
    """

    victim: Any
    method: GradientMethod
    clean: PointCloud
    labels: Tensor
    ids: tuple[str, ...]
    eps: float
    step: float
    ignored_classes: tuple[int, ...] = ()

    @property
    def segments(self) -> bool:
        """Whether points are labelled, and not shapes."""
        return bool(self.victim.task == "segmentation")

    @cached_property
    def parts(self) -> list[Part]:
        """The scenes one by one, which are large; or all shapes together, which are small."""
        if not self.segments:
            return [Part(self.clean, self.labels, slice(0, len(self.clean.points)), self.ids)]
        parts, end = [], 0
        for name, size in zip(self.ids, torch.bincount(self.clean.scene).tolist(), strict=True):
            rows = slice(end, end + size)
            points, features, scene = (value[rows] for value in self.clean)
            parts.append(Part(PointCloud(points, features, scene - scene[0]), self.labels[rows], rows, (name,)))
            end += size
        return parts

    @cached_property
    def cube(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest places (N, 3) of each point, rounded inwards: nothing between them is beyond eps."""
        points, exact = self.clean.points, self.clean.points.double()
        lower, upper = (exact - self.eps).to(points.dtype), (exact + self.eps).to(points.dtype)
        lower = torch.where(exact - lower.double() > self.eps, torch.nextafter(lower, points), lower)
        upper = torch.where(upper.double() - exact > self.eps, torch.nextafter(upper, points), upper)
        return lower, upper

    def project(self, points: Tensor) -> Tensor:
        """Return the nearest places (N, 3) within the cubes."""
        lower, upper = self.cube
        return torch.minimum(torch.maximum(points, lower), upper)

    def evaluate(self, points: Tensor, objective: Objective) -> Evaluation:
        """Return the objective's gradient at `points` (N, 3), under the gradient method.

        Raises:
            ConfigError: The gradient is not finite.
        """
        evaluations = [self._evaluate_part(part, points[part.rows], objective) for part in self.parts]
        return Evaluation(*(torch.cat(values) for values in zip(*evaluations, strict=True)))

    def judge(self, points: Tensor) -> Verdict:
        """Return what the hard network makes of `points` (N, 3).

        Raises:
            ConfigError: The victim has fewer classes than the labels need.
        """
        verdicts = [self._judge_part(part, points[part.rows]) for part in self.parts]
        return Verdict(*(torch.cat(values) for values in zip(*verdicts, strict=True)))

    def _judge_part(self, part: Part, points: Tensor) -> Verdict:
        logits = hard_forward(self.victim, part.clean.moved(points))[0]
        if len(logits) != len(part.labels):
            raise ConfigError(f"the victim gave {len(logits)} rows of logits for {len(part.labels)} labels")
        if self.segments:
            return scene_verdict(logits, part.labels, self.ignored_classes, part.ids[0])
        return class_verdict(logits, part.labels)

    def _evaluate_part(self, part: Part, points: Tensor, objective: Objective) -> Evaluation:
        moving = points.detach().requires_grad_()
        cloud = part.clean.moved(moving)
        reach = Reach(part.clean.points, self.step, self.eps)
        with torch.enable_grad(), self.method.applied_to(self.victim, reach), counted_work(self.victim) as work:
            logits, labels = self.victim.scored(cloud, part.labels)
            value = objective(logits, labels, cloud, part)
        gradient = torch.zeros_like(points)
        if value.requires_grad:  # without slopes, colours alone know nothing of where their points are
            (found,) = torch.autograd.grad(value, moving, allow_unused=True)
            gradient = gradient if found is None else found
        self._check_gradient(gradient, part)
        n_scenes = len(part.ids)
        return Evaluation(gradient, work.voxels(n_scenes), work.gflops(n_scenes))

    def _check_gradient(self, gradient: Tensor, part: Part) -> None:
        finite = gradient.isfinite().all(dim=1)
        if not bool(finite.all()):
            numbers = sorted(set(part.clean.scene[~finite].tolist()))
            raise ConfigError(
                f"the gradient of {len(numbers)} scenes is not finite (first: {part.ids[numbers[0]]!r}) under "
                f"{self.method!r}; check the victim's weights, or lower the slopes"
            )
