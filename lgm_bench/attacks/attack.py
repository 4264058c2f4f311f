"""The attack loop that all attacks share; each attack overrides its hooks."""

import copy
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lgm_bench.attacks.budgets import Budget, LinfBall
from lgm_bench.attacks.checks import check_steps, check_task, check_victim, class_indices, count_samples
from lgm_bench.attacks.objective import Objective
from lgm_bench.attacks.objectives import objective_named
from lgm_bench.attacks.problem import Evaluation, Problem, frozen, without_autocast
from lgm_bench.attacks.trace import AttackResult, Progress, Trace
from lgm_bench.errors import UnknownNameError
from lgm_bench.leaded import FGM, GradientMethod, calibrated
from lgm_bench.tasks.adapter import Adapter, adapter_of
from lgm_bench.tasks.checks import check_classes

State = dict[str, Tensor]
DYNAMICS_UNAWARE = FGM()


class Attack:
    """Gradient steps within a budget, on any input of a victim.

    A subclass overrides `update` and, if needed, `start`; an attack that is not such a loop overrides `run`. The
    result of a sample does not depend on the other samples of its batch.

    Args:
        eps: Largest change of an intensity, such as 8/255 for images in [0, 1]. Or a `Budget`, such as `L2Ball(0.5)`;
            then `bounds`, `valid_pixels` and `mask` are ignored, since the budget has its own.
        step: Size of a step in the same unit; None: the attack's default.
        steps: Number of gradients; None: the attack's default.
        bounds: Smallest and largest intensity of an adversarial image.
        valid_pixels: Share of the pixels that may change, in (0, 1]; see `valid_pixel_mask`.
        mask: Pixels that may change, (H, W) bool, instead of a random share.
        loss: What the attack raises: one of `losses`, or an `Objective`; None: the first of `losses`.
        seed: Seed of all random draws.
        active_set: Stop the attack on a sample as soon as it fools the hard network, which judges it before each step.
            Its architecture then differs from that of a full run. With a soft forward pass a step costs one more pass.

    Attributes:
        inputs: Name of the inputs that it attacks; see `Task.inputs`.
        options: Keyword arguments that a cell of a benchmark may set.
        takes_step: Whether the size of a step can be chosen.
        takes_gradient: Whether the attack follows a gradient.
        learns: Whether it has to learn on other samples first, see `Universal`.
        keeps_best: Whether the attack returns the best iterate of each sample, judged by the hard network, and not the
            last one. With a loss about compute it always does, and the best one has the highest `Objective.goal`.
        judges_start: Whether the first iterate is judged too.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: The attack has no loss of this name.
    """

    name: ClassVar[str] = ""
    inputs: ClassVar[str] = "images"
    options: ClassVar[tuple[str, ...]] = ("bounds", "valid_pixels", "loss", "active_set", "seed")
    takes_step: ClassVar[bool] = True
    takes_gradient: ClassVar[bool] = True
    learns: ClassVar[bool] = False
    keeps_best: bool = False
    judges_start: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]] = (
        "cross_entropy", "margin", "dlr", "compute", "compute-kept", "underload", "deepsloth", "gradmdm",
        "gradmdm-l2", "exits", "last-exit",
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
        self.budget = eps
        self.step = self.usual_step(eps.eps) if step is None else step
        self.steps = self.default_steps if steps is None else steps
        self.seed, self.active_set = seed, active_set
        check_steps(eps, self.step, self.steps, self.fewest_steps, seed)
        loss = self.losses[0] if loss is None else loss
        if isinstance(loss, str) and loss not in self.losses:
            raise UnknownNameError(f"loss of {self.name}", loss, self.losses)
        self.loss = loss
        self.keeps_best = self.keeps_best or self.objective.goal is not None

    @classmethod
    def usual_step(cls, eps: float) -> float:
        """Return the default step: that of the attack, or eps if the attack has none."""
        return eps if cls.default_step is None else cls.default_step

    @property
    def eps(self) -> float:
        """Half-width or radius of the budget."""
        return self.budget.eps

    @property
    def objective(self) -> Objective:
        """What the attack raises."""
        return objective_named(self.loss) if isinstance(self.loss, str) else self.loss

    @property
    def has_iterates(self) -> bool:
        """Whether there are iterates between the clean samples and the last ones, which could be judged."""
        return self.steps > 1

    def resized(self, eps: float, step: float, steps: int) -> "Attack":
        """Return the same attack with another eps, step size and number of steps."""
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

        This method turns autocast off, since the sign of a gradient that was rounded to 16 bits means nothing. `attack`
        keeps the precision in force.
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
        """Return adversarial inputs, with verdicts and costs of the iterates.

        Args:
            victim: Any module in eval mode that maps images (B, C, H, W) in [0, 1] to logits (B, classes), or a
                `PointVictim`.
            inputs: Images, or a `PointCloud`.
            labels: (B,) of any integer type; (N,) if each point has a label.
            gradient: Gradient method, in force only while gradients are computed.
            target: Target classes, (B,); None for an untargeted attack.
            ids: B stable sample ids, which seed the random draws; None: indices in the batch.
            progress: Called with (iteration, steps) after every iteration, from 1.
            adapter: Adapter of the victim's task; None: see `adapter_of`.
            history: Whether the hard network judges the iterate before each step, even if the attack returns the last
                one. Without effect unless the attack `has_iterates`. With a hard forward pass this is free.

        Raises:
            ConfigError: The victim is in training mode or has another task, an input has a wrong shape or value, or a
                gradient is not finite.
        """
        problem = self.problem(victim, inputs, labels, gradient=gradient, target=target, ids=ids, adapter=adapter)
        trace = Trace(problem)
        with torch.no_grad(), frozen(victim):
            self.run(problem, trace, progress or (lambda *_: None), history=history and self.has_iterates)
        problem.require_finite()
        return trace.result()

    def problem(
        self,
        victim: nn.Module,
        inputs: Any,
        labels: Tensor,
        *,
        gradient: GradientMethod,
        target: Tensor | None = None,
        ids: Sequence[str] | None = None,
        adapter: Adapter | None = None,
    ) -> Problem:
        """Return the checked problem of a batch; arguments as in `attack`.

        Raises:
            ConfigError: See `attack`.
        """
        adapter = adapter or adapter_of(victim)
        check_task(self, adapter, victim, target)
        check_victim(victim)
        labels = class_indices("labels", labels)
        names = tuple(map(str, range(count_samples(adapter, inputs, labels)))) if ids is None else tuple(ids)
        adapter.check(victim, inputs, labels, names)
        if target is not None:
            target = class_indices("target", target)
            check_classes("target", target, len(names), adapter.task.sample)
        inputs = adapter.detached(inputs)
        clean = adapter.values(inputs)
        return Problem(
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
            spent=torch.zeros(len(names), dtype=torch.int64, device=clean.device),
            broken=torch.zeros(len(names), dtype=torch.int64, device=clean.device),
        )

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
        """Run the loop: take a number of steps from the start, after `done` iterations of earlier loops."""
        state = self.start(problem)
        for iteration in range(steps + 1):
            state["x"] = problem.project(state["x"])
            fallen = None
            if self.keeps_best and (iteration or self.judges_start):
                fallen = self._keep_better(problem, state["x"], trace, objective)
            if iteration == steps:
                break
            evaluation = self._evaluate(problem, state["x"], objective)
            trace.add_costs(problem, evaluation)
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
        """Return the state before the first iteration: "x", the point to evaluate, and what else the steps need.

        The first dimension of each tensor is samples, or rows of values.
        """
        return {"x": problem.clean}

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        """Return the state after a step, given the evaluation at state["x"]; the loop projects "x" into the budget."""
        raise NotImplementedError

    def noise(self, problem: Problem, stream: str) -> Tensor:
        """Return a random change (R, ...) within the budget, in units of eps; it depends on seed, stream and id."""
        sizes = torch.bincount(problem.owner, minlength=len(problem.ids)).tolist()
        return self.budget.noise(sizes, problem.generators(self.seed, stream), problem.clean)

    def _evaluate(self, problem: Problem, x: Tensor, objective: Objective) -> Evaluation:
        if self.takes_gradient:
            return problem.evaluate(x, objective)
        zeros = x.new_zeros(len(problem.ids))
        return Evaluation(zeros[:, None], zeros, torch.zeros_like(x), {})

    def _keep_better(self, problem: Problem, x: Tensor, trace: Trace, objective: Objective) -> Tensor:
        iterate, (verdict, goal) = trace.iterates, problem.judged(x, objective)
        better = trace.judged(problem, verdict)
        trace.keep(problem, x, better if goal is None else trace.nearer_goal(problem, goal), iterate)
        return verdict.fallen

    def _fallen(self, problem: Problem, x: Tensor, evaluation: Evaluation, trace: Trace, iteration: int) -> Tensor:
        verdict = problem.verdict(problem.by_group(evaluation.logits)) if problem.evaluates_hard else problem.judge(x)
        trace.judged(problem, verdict)
        if self.active_set:
            trace.keep(problem, x, verdict.fallen, iteration)
        return verdict.fallen
