"""The one loop of attacks on point clouds; an attack overrides its hooks."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batch import PointBatch
from lgm_bench.attacks.checks import check_budget
from lgm_bench.attacks.points.checks import PROTOCOLS, check_point_batch, check_point_victim
from lgm_bench.attacks.points.problem import Evaluation, Part, PointProblem
from lgm_bench.attacks.points.result import PointResult, Progression
from lgm_bench.attacks.problem import frozen
from lgm_bench.errors import UnknownNameError
from lgm_bench.leaded import FGM, GradientMethod
from lgm_bench.losses import lovasz_softmax
from lgm_bench.voxels import IGNORED, PointCloud

State = dict[str, Tensor]
Progress = Callable[[int, int], None]
DYNAMICS_UNAWARE = FGM()


class PointAttack:
    """An attack that moves points, each inside the cube of half-width eps around where it was.

    The hard network judges every iterate, and for each scene the best one is kept: that of the lowest mIoU of the
    scene (segmentation), or a misclassified one before the others and then that of the lowest margin of the true
    class (classification). The clean cloud is the first iterate. A subclass overrides `update`, and where needed
    `start` and `objective`. What a scene becomes does not depend on the scenes beside it: scenes go through the
    network one by one, shapes together but with sums over shapes as the objective.

    Args:
        eps: Largest move of a point along an axis, metres.
        step: Size of a step, metres; None takes the attack's default.
        steps: See `protocol`; None takes the attack's default.
        protocol: "official" (the released runs): `steps` iterates are judged, the clean one among them, so points
            move `steps` - 1 times; "paper" (the text): points move `steps` times.
        loss: One of `losses`, such as "cross_entropy" or, for segmentation, "lovasz"; see `objective`. None: the
            first of them.
        seed: Seed of what the attack draws at random.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: There is no such protocol or loss.
    """

    name: ClassVar[str] = ""
    inputs: ClassVar[str] = "points"
    takes_step: ClassVar[bool] = True
    starts_clean: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "lovasz")
    default_step: ClassVar[float] = 0.01
    default_steps: ClassVar[int] = 50

    def __init__(
        self,
        eps: float,
        step: float | None = None,
        steps: int | None = None,
        *,
        protocol: str = "official",
        loss: str | None = None,
        seed: int = 0,
    ) -> None:
        self.eps = eps
        self.step = min(self.default_step, eps) if step is None else step
        self.steps = self.default_steps if steps is None else steps
        self.loss = self.losses[0] if loss is None else loss
        self.protocol, self.seed = protocol, seed
        check_budget(self.eps, self.step, self.steps, self.seed, unit="in metres")
        if protocol not in PROTOCOLS:
            raise UnknownNameError("protocol", protocol, PROTOCOLS)
        if self.loss not in self.losses:
            raise UnknownNameError(f"loss of {self.name}", self.loss, self.losses)

    @property
    def iterates(self) -> int:
        """Number of iterates that are judged."""
        return self.steps if self.protocol == "official" else self.steps + 1

    def perturb(
        self,
        victim: nn.Module,
        batch: PointBatch,
        gradient: GradientMethod = DYNAMICS_UNAWARE,
        progress: Progress | None = None,
        *,
        ignored_classes: Sequence[int] = (),
    ) -> Tensor:
        """Return adversarial points (N, 3) of a batch; see `attack`."""
        return self.attack(victim, batch, gradient, progress, ignored_classes=ignored_classes).points

    def attack(
        self,
        victim: nn.Module,
        batch: PointBatch,
        gradient: GradientMethod = DYNAMICS_UNAWARE,
        progress: Progress | None = None,
        *,
        ignored_classes: Sequence[int] = (),
    ) -> PointResult:
        """Return adversarial points and what happened on the way to them.

        Args:
            victim: A `PointVictim` in eval mode.
            batch: Scenes or shapes with labels and ids, on the victim's device.
            gradient: What gradient occupancy lets through, in force only while gradients are computed.
            progress: Called with (iterate, iterates) once each has been judged, from 1.
            ignored_classes: Classes that take no part in the mIoU, as the datamodule names them.

        Raises:
            ConfigError: The victim is in training mode or of other inputs, or an input has a wrong shape or value.
        """
        check_point_victim(victim, self.loss)
        check_point_batch(batch, str(victim.task), tuple(ignored_classes))
        clean = PointCloud(*(value.detach() for value in batch.cloud))
        problem = PointProblem(
            victim=victim,
            method=gradient,
            clean=clean,
            labels=batch.labels.to(clean.points.device),
            ids=tuple(batch.ids),
            eps=self.eps,
            step=self.step,
            ignored_classes=tuple(ignored_classes),
        )
        with torch.no_grad(), frozen(victim):
            return self.run(problem, progress or _silent)

    def run(self, problem: PointProblem, progress: Progress) -> PointResult:
        """Return what comes of `problem`: the loop."""
        progression = Progression(problem)
        state = self.start(problem)
        for iterate in range(self.iterates):
            state["x"] = problem.project(state["x"])
            progression.judged(state["x"], problem.judge(state["x"]))
            progress(iterate + 1, self.iterates)
            if iterate + 1 < self.iterates:
                state = self.advance(problem, state, iterate, progression)
        return progression.result()

    def start(self, problem: PointProblem) -> State:
        """Return the state at first: "x" (N, 3), the first iterate, and whatever else is carried on."""
        return {"x": problem.clean.points}

    def advance(self, problem: PointProblem, state: State, iterate: int, progression: Progression) -> State:
        """Return the state after one more iteration: a gradient and a step."""
        evaluation = problem.evaluate(state["x"], self.objective)
        progression.evaluated(evaluation)
        return self.update(problem, state, evaluation, iterate)

    def objective(self, logits: Tensor, labels: Tensor, cloud: PointCloud, part: Part) -> Tensor:
        """Return what the attack raises, a scalar.

        Cross-entropy, summed over what has a label: the released runs take the mean over a scene, which changes the
        gradient of all its points by one factor and no step that is relative to a point's largest component.
        Lovasz-softmax: of one scene, since `part` is one.

        Args:
            logits: (K, C) of what the victim scores: points, voxels (Cylinder3D) or shapes.
            labels: (K,) int64.
            cloud: The points where they are now.
            part: The clean ones.
        """
        if self.loss == "lovasz":
            counted = labels != IGNORED
            return lovasz_softmax(logits[counted].softmax(dim=1), labels[counted])
        return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")

    def update(self, problem: PointProblem, state: State, evaluation: Evaluation, iterate: int) -> State:
        """Return the state after a step, given the gradient at state["x"]; the loop keeps it inside the cubes."""
        raise NotImplementedError


def _silent(iterate: int, iterates: int) -> None:
    """Report nothing."""
