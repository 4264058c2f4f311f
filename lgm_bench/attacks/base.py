"""The one attack loop; an attack overrides its hooks."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench.attacks.checks import check_batch, check_budget, check_victim
from lgm_bench.attacks.history import History
from lgm_bench.attacks.losses import cross_entropy
from lgm_bench.attacks.mask import check_share, valid_pixel_mask
from lgm_bench.attacks.problem import Evaluation, Problem, frozen
from lgm_bench.attacks.protocol import protocol_named
from lgm_bench.attacks.randomness import sample_generator
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import FGM, GradientMethod

State = dict[str, Tensor]
Progress = Callable[[int, int], None]
DYNAMICS_UNAWARE = FGM()


class Attack:
    """An L-infinity attack on images: gradient steps inside a box.

    A subclass overrides `update`, and where needed `start`, `objective` and `finish`; one that is no such loop
    overrides `run`. What a sample becomes does not depend on the samples beside it.

    Args:
        eps: Largest change of an intensity, in the unit that papers print (1/255; see `protocol`).
        step: Size of a step in the same unit; None takes the attack's default.
        steps: Number of gradients; None takes the attack's default.
        protocol: "paper" (the text: 1/255, images stay in [0, 1]) or "official" (the released runs: 2/255, images
            stay in [-1, 1]).
        valid_pixels: Share of the pixels that may change, in (0, 1]; see `valid_pixel_mask`.
        mask: Pixels that may change, (H, W) bool, in place of a random share.
        seed: Seed of what the attack draws at random.
        active_set: Stop working on a sample once it has fallen on the hard network, as seen at the beginning of each
            iteration. Images then need not have been through all steps: their architectures are not those of a full
            run, and a fall that later steps would have undone stays. Free with a hard forward pass; with a soft one
            it costs a forward pass of the hard network for every iteration, and pays when many samples fall early.

    Raises:
        ConfigError: A value makes no sense.
    """

    name: ClassVar[str] = ""
    inputs: ClassVar[str] = "images"
    takes_step: ClassVar[bool] = True
    default_step: ClassVar[float] = 1.0
    default_steps: ClassVar[int] = 100

    def __init__(
        self,
        eps: float,
        step: float | None = None,
        steps: int | None = None,
        *,
        protocol: str = "paper",
        valid_pixels: float = 1.0,
        mask: Tensor | None = None,
        seed: int = 0,
        active_set: bool = False,
    ) -> None:
        self.eps = eps
        self.step = self.default_step if step is None else step
        self.steps = self.default_steps if steps is None else steps
        self.protocol = protocol_named(protocol)
        self.valid_pixels = valid_pixels
        self.mask = mask
        self.seed = seed
        self.active_set = active_set
        check_budget(self.eps, self.step, self.steps, self.seed)
        check_share(valid_pixels)
        if mask is not None and valid_pixels != 1.0:
            raise ConfigError(f"give either a mask or valid_pixels={valid_pixels}, not both")
        if mask is not None and not bool(mask.any()):
            raise ConfigError("mask leaves no pixel that may change; mark at least one with True")

    @property
    def has_iterates(self) -> bool:
        """Whether there are iterates between the clean images and the last ones, of which a `History` can tell."""
        return self.steps > 1

    @property
    def step_size(self) -> float:
        """Size of a step in intensities."""
        return self.step * self.protocol.scale

    def perturb(
        self,
        victim: nn.Module,
        batch: ImageBatch,
        gradient: GradientMethod = DYNAMICS_UNAWARE,
        target: Tensor | None = None,
        progress: Progress | None = None,
        history: History | None = None,
    ) -> Tensor:
        """Return adversarial images (B, 3, H, W), in the dtype and on the device of the batch's images.

        Args:
            victim: Any module in eval mode, images (B, 3, H, W) in [0, 1] to logits (B, classes).
            batch: Images in [0, 1], labels and ids. Untargeted attacks leave the labels.
            gradient: What gradient occupancy lets through, in force only while gradients are computed.
            target: Classes (B,) int64 to arrive at; None leaves the labels.
            progress: Called with (iteration, steps) after every iteration, from 1.
            history: Takes what the hard network makes of the iterates, if the attack `has_iterates`.

        Raises:
            ConfigError: The victim is in training mode, or an input has a wrong shape or value.
        """
        check_victim(victim)
        check_batch(batch, target)
        problem = self._problem(victim, batch, gradient, target, history)
        with torch.no_grad(), frozen(victim):
            return self.run(problem, progress or _silent)

    def run(self, problem: Problem, progress: Progress) -> Tensor:
        """Return adversarial images (B, 3, H, W) for `problem`: the loop."""
        state = self.start(problem)
        adversarial = problem.clean.clone()
        rows = torch.arange(len(adversarial), device=adversarial.device)
        for iteration in range(self.steps):
            evaluation = problem.evaluate(state["x"], self.objective)
            history = problem.history if iteration else None
            if self.active_set or history:
                fallen = self._fallen(problem, state, evaluation)
            if history:
                history.judged(problem.ids, fallen)
            if self.active_set:
                adversarial[rows[fallen]] = state["x"][fallen]
                problem, rows, evaluation = problem.select(~fallen), rows[~fallen], evaluation.select(~fallen)
                state = {name: value[~fallen] for name, value in state.items()}
                if not len(rows):
                    progress(self.steps, self.steps)
                    return adversarial
            state = self.update(problem, state, evaluation, iteration)
            progress(iteration + 1, self.steps)
        adversarial[rows] = self.finish(problem, state)
        return adversarial

    def start(self, problem: Problem) -> State:
        """Return the state before the first iteration: "x", where to evaluate next, and whatever else is carried on.

        Every tensor in it has the samples in its first dimension.
        """
        return {"x": problem.clean}

    def objective(self, logits: Tensor, problem: Problem) -> Tensor:
        """Return what the attack raises, (B,): cross-entropy of the labels, or minus that of the targets."""
        loss = cross_entropy(logits, problem.classes)
        return -loss if problem.targeted else loss

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        """Return the state after a step, given the victim's evaluation at state["x"]."""
        raise NotImplementedError

    def finish(self, problem: Problem, state: State) -> Tensor:
        """Return the adversarial images (B, 3, H, W) after the last iteration."""
        return state["x"]

    def generators(self, problem: Problem) -> list[torch.Generator]:
        """Return one fresh generator for each sample of `problem`, the same at every call."""
        return [sample_generator(self.seed, sample_id, self.name) for sample_id in problem.ids]

    def _fallen(self, problem: Problem, state: State, evaluation: Evaluation) -> Tensor:
        logits = evaluation.logits if problem.evaluates_hard else problem.hard_logits(state["x"])
        return problem.reached(logits)

    def _problem(
        self,
        victim: nn.Module,
        batch: ImageBatch,
        gradient: GradientMethod,
        target: Tensor | None,
        history: History | None,
    ) -> Problem:
        images = batch.images.detach()
        mask = self._mask(images)
        eps = self.eps * self.protocol.scale
        lower = (images - eps).clamp(min=self.protocol.low)
        upper = (images + eps).clamp(max=self.protocol.high)
        return Problem(
            victim=victim,
            method=gradient,
            clean=images,
            lower=torch.where(mask, lower, images),
            upper=torch.where(mask, upper, images),
            mask=mask,
            labels=batch.labels.to(images.device),
            target=None if target is None else target.to(images.device),
            ids=tuple(batch.ids),
            eps=eps,
            history=history,
        )

    def _mask(self, images: Tensor) -> Tensor:
        size = images.shape[2:]
        if self.mask is None:
            mask = valid_pixel_mask(size[0], size[1], self.valid_pixels)
        elif self.mask.shape != size:
            raise ConfigError(f"mask must have the images' size {tuple(size)}, got {tuple(self.mask.shape)}")
        else:
            mask = self.mask.bool()
        return mask.to(images.device)[None, None]


def _silent(iteration: int, steps: int) -> None:
    """Report nothing."""
