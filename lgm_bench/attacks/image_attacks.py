"""Gradient attacks on images, or on any other samples in a tensor (B, ...)."""

from typing import Any

import torch
from torch import Tensor

from lgm_bench.attacks.attack import Attack, State
from lgm_bench.attacks.problem import Evaluation, Problem
from lgm_bench.errors import ConfigError

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
MOMENTUM = 0.75
RISING_SHARE = 0.75
PATIENCE = 3


class BIM(Attack):
    """Basic iterative method (Kurakin et al. 2017): steps along the budget's direction, the sign within L-infinity.

    The paper takes 100 steps of 1/255.
    """

    name = "bim"

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        return {"x": state["x"] + self.step * self.budget.direction(evaluation.gradient)}  # no gradient, no move


class FGSM(BIM):
    """Fast gradient sign method (Goodfellow et al. 2015): one step, of size eps by default."""

    name = "fgsm"
    default_step = None
    default_steps = 1

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.steps != 1:
            raise ConfigError(f"fgsm is a single step, got steps={self.steps}; use bim for more")


class PGD(BIM):
    """Projected gradient descent (Madry et al. 2018): BIM from a uniformly random point within the budget."""

    name = "pgd"

    def start(self, problem: Problem) -> State:
        return {"x": problem.clean + self.eps * self.noise(problem, self.name)}


class AdamSteps(Attack):
    """An attack whose steps are those of Adam (Kingma & Ba 2015), with `step` as the learning rate."""

    def start(self, problem: Problem) -> State:
        return {"x": problem.clean, "first": torch.zeros_like(problem.clean), "second": torch.zeros_like(problem.clean)}

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        first = BETA_1 * state["first"] + (1 - BETA_1) * evaluation.gradient
        second = BETA_2 * state["second"] + (1 - BETA_2) * evaluation.gradient.square()
        first_unbiased = first / (1 - BETA_1 ** (iteration + 1))
        second_unbiased = second / (1 - BETA_2 ** (iteration + 1))
        direction = first_unbiased / (second_unbiased.sqrt() + EPSILON)
        return {"x": state["x"] + self.step * direction, "first": first, "second": second}


class Adam(AdamSteps):
    """Adam steps on any loss; the publication of GradMDM takes 100 with a learning rate of 0.01."""

    name = "adam"
    default_step = 0.01


class CarliniWagner(AdamSteps):
    """Carlini & Wagner's margin attack (2017), with a budget instead of the norm penalty.

    Adam lowers max(z_y - max_{j != y} z_j, 0), or max(max_{j != t} z_j - z_t, 0) for a target t. The gradient of a
    sample that has fallen is 0; Adam then moves on by its moments alone.
    """

    name = "cw"
    losses = ("margin", "cross_entropy", "dlr")


class RandomNoise(Attack):
    """A uniform draw from the budget, without any gradient; `steps` is the number of draws.

    The draw at which the hard network does worst is returned. The clean sample does not count, because it would hide
    draws that help the victim.
    """

    name = "noise"
    takes_step = False
    takes_gradient = False
    keeps_best = True
    judges_start = False
    default_steps = 1

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        return {"x": problem.clean + self.eps * self.noise(problem, f"{self.name}-{iteration}")}


class AutoPGD(Attack):
    """The attack that the released runs call AutoAttack: damped sign steps, halved when the loss stalls.

    With z = P(x + size * sign(g)), a step is x' = x + `MOMENTUM` * (z - x). The second term of Auto-PGD's momentum,
    (1 - 0.75) (x - previous x), is absent: in the released runs the previous x is always x.

    Each sample has its own step size and its own counts, which begin anew at every restart. After each evaluation:

    - The loss has risen if it is above that of the previous evaluation. The first evaluation always counts as risen.
    - The loss is stale if it is not above the best one.
    - If fewer than 75 % of the evaluations have risen, or three were stale, the sample restarts: its step size is
      halved, and it goes back to the point after the step of the last risen evaluation.
    - Otherwise the sample takes the step.

    There are no fixed checkpoints, and a restart takes the place of a step. The result is the last point, not the best
    one. This rule reproduces the perturbations of the released runs. The schedule of Croce & Hein is in
    `lgm_bench.attacks.apgd`, their ensemble in `lgm_bench.attacks.autoattack`.
    """

    name = "autopgd"

    def start(self, problem: Problem) -> State:
        clean = problem.clean
        size = torch.full((len(problem.ids),), self.step, dtype=clean.dtype, device=clean.device)
        return {"x": clean, "anchor": clean, "size": size, **_fresh(size)}

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        value = evaluation.objective
        risen, stale = value > state["value"], value <= state["best"]
        evaluations, rises, stales = state["evaluations"] + 1, state["rises"] + risen, state["stales"] + stale
        restart = (rises < RISING_SHARE * evaluations) | (stales >= PATIENCE)
        moved = self._moved(problem, state, evaluation)
        counted = {
            "value": value,
            "best": torch.maximum(value, state["best"]),
            "evaluations": evaluations,
            "rises": rises,
            "stales": stales,
        }
        fresh = _fresh(value)
        return {
            "x": torch.where(problem.wide(restart), state["anchor"], moved),
            "anchor": torch.where(problem.wide(risen & ~restart), moved, state["anchor"]),
            "size": torch.where(restart, state["size"] / 2, state["size"]),
            **{name: torch.where(restart, fresh[name], now) for name, now in counted.items()},
        }

    def _moved(self, problem: Problem, state: State, evaluation: Evaluation) -> Tensor:
        x = state["x"]
        z = problem.project(x + problem.wide(state["size"]) * self.budget.direction(evaluation.gradient))
        return problem.project(x + MOMENTUM * (z - x))


def _fresh(like: Tensor) -> State:
    """Return the counts before the first evaluation, each (B,) in the dtype of `like` (B,)."""
    lowest, none = torch.full_like(like, -torch.inf), torch.zeros_like(like)
    return {"value": lowest, "best": lowest, "evaluations": none, "rises": none, "stales": none}
