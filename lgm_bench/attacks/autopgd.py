"""The step-halving attack that the released runs call AutoAttack; Croce & Hein's ensemble is `autoattack`."""

import torch

from lgm_bench.attacks.attack import Attack, State
from lgm_bench.attacks.problem import Evaluation, Problem

MOMENTUM = 0.75
RISING_SHARE = 0.75
PATIENCE = 3


class AutoPGD(Attack):
    """Damped sign steps whose size is halved whenever the loss stops rising, as in the released runs.

    A step goes the share `MOMENTUM` of the way to z = P(x + size * sign(g)), x' = x + 0.75 (z - x). The second term
    of Auto-PGD's momentum, (1 - 0.75) (x - previous x), is absent: in the released runs the previous x is always x.

    After every evaluation of a sample, counted since its last restart (or since the start):

    - the loss has risen if it is above that of the evaluation before; the first one always has;
    - the loss is stale if it is not above the best one;
    - if fewer than 75 % have risen, or three were stale, the sample restarts: its size is halved, and in place of a
      step it goes back to where the step from the last risen evaluation before this one had led;
    - otherwise it takes the step.

    So there are no fixed checkpoints, a restart costs one of the steps, and what is returned is where the sample is at
    the end, not its best point. Each sample has a size and counts of its own. That is how the released runs' rule, as
    stated in words, has to be read to give the released runs' perturbations; Croce & Hein's own schedule is that of
    `lgm_bench.attacks.apgd`.
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

    def _moved(self, problem: Problem, state: State, evaluation: Evaluation) -> torch.Tensor:
        x = state["x"]
        z = problem.project(x + problem.wide(state["size"]) * self.budget.direction(evaluation.gradient))
        return problem.project(x + MOMENTUM * (z - x))


def _fresh(like: torch.Tensor) -> State:
    """Return what is known of B samples before their first evaluation, each (B,) as `like`."""
    nothing, none = torch.full_like(like, -torch.inf), torch.zeros_like(like)
    return {"value": nothing, "best": nothing, "evaluations": none, "rises": none, "stales": none}
