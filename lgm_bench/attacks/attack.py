"""The one attack loop; an attack overrides its hooks."""

import copy
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lgm_bench.attacks.budgets import Budget, LinfBall
from lgm_bench.attacks.checks import check_numbers, check_task, check_victim, count_samples, whole_numbers
from lgm_bench.attacks.objectives import Objective, objective_named
from lgm_bench.attacks.problem import Evaluation, Problem, frozen, without_autocast
from lgm_bench.attacks.trace import AttackResult, Progress, Trace
from lgm_bench.errors import UnknownNameError
from lgm_bench.leaded import FGM, GradientMethod, calibrated
from lgm_bench.tasks.adapter import Adapter, adapter_of
from lgm_bench.tasks.checks import check_classes

State = dict[str, Tensor]
DYNAMICS_UNAWARE = FGM()


class Attack:
    """Gradient steps inside a budget, on anything that a victim takes.

    A subclass overrides `update`, and where needed `start`; an attack that is not such a loop overrides `run`. The
    result of a sample does not depend on the samples beside it.

    Args:
        eps: Largest change of an intensity, in the unit of the images: 8/255 of images in [0, 1]. Or a `Budget`, such
            as `L2Ball(0.5)`; then `bounds`, `valid_pixels` and `mask` are ignored, since the budget has its own.
        step: Size of a step in the same unit; None takes the attack's default.
        steps: Number of gradients; None takes the attack's default.
        bounds: Smallest and largest intensity of an adversarial image.
        valid_pixels: Share of the pixels that may change, in (0, 1]; see `valid_pixel_mask`.
        mask: Pixels that may change, (H, W) bool, in place of a random share.
        loss: What is raised: one of `losses`, or an `Objective`; None takes the first of `losses`.
        seed: Seed of what the attack draws at random.
        active_set: Stop working on a sample once the hard network's verdict, taken at the beginning of each iteration,
            says that it has fallen. Such a sample has not been through all steps: its architecture is not that of a
            full run, and a fall that later steps would have undone stays. With a hard forward pass this is free. With a
            soft one it costs a forward pass of the hard network per iteration, and pays when many samples fall early.

    Attributes:
        inputs: What it attacks, "images" (any tensor (B, ...)) or "points"; see `Task.inputs`.
        options: Keyword arguments that a cell of a benchmark may set.
        takes_step: Whether there is a step to choose.
        takes_gradient: Whether it follows a gradient.
        keeps_best: Whether the hard network judges every iterate and the best one of each sample is returned;
            otherwise the last iterate is returned.
        judges_start: Whether the first iterate is among those that are judged.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: The attack has no loss of this name.
    """

    name: ClassVar[str] = ""
    inputs: ClassVar[str] = "images"
    options: ClassVar[tuple[str, ...]] = ("bounds", "valid_pixels", "loss", "active_set", "seed")
    takes_step: ClassVar[bool] = True
    takes_gradient: ClassVar[bool] = True
    keeps_best: ClassVar[bool] = False
    judges_start: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]] = (
        "cross_entropy", "margin", "dlr", "compute", "compute-kept", "underload", "deepsloth", "exits", "last-exit",
    )  # fmt: skip
    default_step: ClassVar[float | None] = 1 / 255
    default_steps: ClassVar[int] = 100
    fewest_steps: ClassVar[int] = 1

    def __init__(
        self,
        eps: float | Budget,
        step: float | None = None,
        steps: int | None = None,
        *,
        bounds: tuple[float, float] = (0.0, 1.0),
        valid_pixels: float = 1.0,
        mask: Tensor | None = None,
        loss: str | Objective | None = None,
        seed: int = 0,
        active_set: bool = False,
    ) -> None:
        if not isinstance(eps, Budget):
            eps = LinfBall(eps, bounds, valid_pixels=valid_pixels, mask=mask)
        self._settle(eps, step, steps, loss, seed)
        self.active_set = active_set

    def _settle(
        self, budget: Budget, step: float | None, steps: int | None, loss: str | Objective | None, seed: int
    ) -> None:
        self.budget = budget
        self.step = self.usual_step(budget.eps) if step is None else step
        self.steps = self.default_steps if steps is None else steps
        self.seed = seed
        check_numbers(budget, self.step, self.steps, self.fewest_steps, seed)
        loss = self.losses[0] if loss is None else loss
        if isinstance(loss, str) and loss not in self.losses:
            raise UnknownNameError(f"loss of {self.name}", loss, self.losses)
        self.loss = loss

    @classmethod
    def usual_step(cls, eps: float) -> float:
        """Return the step where none is given: the attack's default, or eps where it has none."""
        return eps if cls.default_step is None else cls.default_step

    @property
    def eps(self) -> float:
        """Half-width or radius of the budget."""
        return self.budget.eps

    @property
    def objective(self) -> Objective:
        """What is raised."""
        return objective_named(self.loss) if isinstance(self.loss, str) else self.loss

    @property
    def has_iterates(self) -> bool:
        """Whether there are iterates to judge between the clean samples and the last ones."""
        return self.steps > 1

    def resized(self, eps: float, step: float, steps: int) -> "Attack":
        """Return the same attack with another budget and other steps."""
        other = copy.copy(self)
        other.budget, other.step, other.steps = self.budget.resized(eps), step, steps
        return other

    def perturb(
        self,
        victim: nn.Module,
        inputs: Any,
        labels: Tensor,
        *,
        gradient: GradientMethod = DYNAMICS_UNAWARE,
        target: Tensor | None = None,
        ids: Sequence[str] | None = None,
        progress: Progress | None = None,
        adapter: Adapter | None = None,
    ) -> Tensor:
        """Return adversarial images (B, C, H, W), or the points (N, 3) of adversarial clouds; see `attack`.

        An autocast around this call has no effect: the sign of a gradient that was rounded to 16 bits means nothing.
        `attack` computes in whatever precision is in force.
        """
        options: dict[str, Any] = {"gradient": gradient, "target": target, "ids": ids, "progress": progress}
        with without_autocast():
            return self.attack(victim, inputs, labels, adapter=adapter, **options).adversarial.contiguous()

    def attack(
        self,
        victim: nn.Module,
        inputs: Any,
        labels: Tensor,
        *,
        gradient: GradientMethod = DYNAMICS_UNAWARE,
        target: Tensor | None = None,
        ids: Sequence[str] | None = None,
        progress: Progress | None = None,
        adapter: Adapter | None = None,
        history: bool = False,
    ) -> AttackResult:
        """Return adversarial inputs, with the verdicts and costs on the way to them.

        Args:
            victim: In eval mode: any module from images (B, C, H, W) in [0, 1] to logits (B, classes), or a
                `PointVictim`.
            inputs: Images, or a `PointCloud`.
            labels: (B,) of any integer type; (N,) where points are labelled.
            gradient: Gradient method, in force only while gradients are computed.
            target: Classes wanted, (B,); None is an untargeted attack.
            ids: B stable sample ids, which seed what is drawn at random; None: the samples' places in the batch.
            progress: Called with (iteration, steps) after every iteration, from 1.
            adapter: Adapter of the victim's task; None: of the task that the victim names as its `task`, or of image
                classification.
            history: Have the hard network judge the iterate before each step, also where the last one is returned, if
                the attack `has_iterates`. With a hard forward pass this is free.

        Raises:
            ConfigError: The victim is in training mode or has another task, or an input has a wrong shape or value.
        """
        adapter = adapter or adapter_of(victim)
        check_task(self, adapter, victim, target)
        check_victim(victim)
        labels = whole_numbers("labels", labels)
        names = tuple(map(str, range(count_samples(adapter, inputs, labels)))) if ids is None else tuple(ids)
        adapter.check(victim, inputs, labels, names)
        if target is not None:
            target = whole_numbers("target", target)
            check_classes("target", target, len(names), adapter.task.sample)
        inputs = adapter.detached(inputs)
        clean = adapter.values(inputs)
        problem = Problem(
            adapter=adapter,
            victim=victim,
            method=calibrated(gradient, victim, inputs, self.steps),
            inputs=inputs,
            labels=labels.to(clean.device),
            target=None if target is None else target.to(clean.device),
            ids=names,
            region=self.budget.around(clean),
            eps=self.eps,
            step=self.step,
            samples=torch.arange(len(names), device=clean.device),
            rows=torch.arange(len(clean), device=clean.device),
        )
        trace = Trace(problem)
        with torch.no_grad(), frozen(victim):
            self.run(problem, trace, progress or (lambda *_: None), history=history and self.has_iterates)
        return trace.result()

    def run(self, problem: Problem, trace: Trace, progress: Progress, *, history: bool) -> None:
        """Attack `problem` and leave the result in `trace`."""
        self.walk(problem, self.steps, trace, progress, self.objective, history=history)

    def walk(
        self,
        problem: Problem,
        steps: int,
        trace: Trace,
        progress: Progress,
        objective: Objective,
        *,
        done: int = 0,
        history: bool = False,
    ) -> None:
        """Take a number of steps from the start, after `done` iterations of other walks: the loop."""
        state = self.start(problem)
        for iteration in range(steps + 1):
            state["x"] = problem.project(state["x"])
            fallen = None
            if self.keeps_best and (iteration or self.judges_start):
                fallen = self._keep_better(problem, state["x"], trace)
            if iteration == steps:
                break
            evaluation = problem.evaluate(state["x"], objective) if self.takes_gradient else problem.unevaluated
            trace.spent(problem, evaluation)
            if not self.keeps_best and (history or self.active_set):
                fallen = self._fallen(problem, state["x"], evaluation, trace, iteration)
            if self.active_set and fallen is not None and bool(fallen.any()):
                state = {name: problem.selected(values, ~fallen) for name, values in state.items()}
                problem, evaluation = problem.select(~fallen), problem.selected_evaluation(evaluation, ~fallen)
                if not problem.ids:
                    progress(self.steps, self.steps)
                    return
            state = self.update(problem, state, evaluation, iteration)
            progress(done + iteration + 1, self.steps)
        if not self.keeps_best:
            trace.keep(problem, state["x"], torch.ones_like(problem.samples, dtype=torch.bool), steps)

    def start(self, problem: Problem) -> State:
        """Return the state before the first iteration: "x", where to evaluate next, and whatever else the steps need.

        The first dimension of every tensor in it is that of the samples, or of the rows of their values.
        """
        return {"x": problem.clean}

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        """Return the state after a step, given the evaluation at state["x"]; the loop projects it into the budget."""
        raise NotImplementedError

    def noise(self, problem: Problem, stream: str) -> Tensor:
        """Return a random change within the budget (R, ...), in units of eps; a sample's depends on its id alone."""
        sizes = torch.bincount(problem.owner, minlength=len(problem.ids)).tolist()
        return self.budget.noise(sizes, problem.generators(self.seed, stream), problem.clean)

    def _keep_better(self, problem: Problem, x: Tensor, trace: Trace) -> Tensor:
        iterate, verdict = trace.iterates, problem.judge(x)
        trace.keep(problem, x, trace.judged(problem, verdict), iterate)
        return verdict.fallen

    def _fallen(self, problem: Problem, x: Tensor, evaluation: Evaluation, trace: Trace, iteration: int) -> Tensor:
        verdict = problem.verdict([evaluation.logits]) if problem.evaluates_hard else problem.judge(x)
        trace.judged(problem, verdict)
        if self.active_set:
            trace.keep(problem, x, verdict.fallen, iteration)
        return verdict.fallen
