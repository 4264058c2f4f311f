"""Auto-PGD (Croce & Hein 2020, Alg. 1): PGD with momentum that chooses its own step size."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lgm_bench.attacks.attack import State
from lgm_bench.attacks.budgets import Budget
from lgm_bench.attacks.objective import Objective
from lgm_bench.attacks.problem import Evaluation, Problem
from lgm_bench.attacks.survivors import Survivors

MOMENTUM = 0.75
RHO = 0.75


def checkpoints(steps: int) -> list[int]:
    """Return the iterations w_j = ceil(p_j * steps) at which the step size is reconsidered, ascending from 0.

    p_0 = 0, p_1 = .22, p_(j+1) = p_j + max(p_j - p_(j-1) - .03, .06) (Croce & Hein 2020, Sec. 3.1).

    >>> checkpoints(100)
    [0, 22, 41, 57, 70, 80, 87, 93, 99]
    """
    shares = [0.0, 0.22]
    while shares[-1] <= 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return sorted({math.ceil(share * steps - 1e-9) for share in shares if share <= 1})


def apgd(
    problem: Problem, budget: Budget, objective: Objective, noise: Tensor, steps: int, tick: Callable[[], None]
) -> Tensor:
    """Return adversarial values (B, ...): the first that fool the hard network, or those with the highest loss.

    Loss and gradient are those of the gradient method; the verdict is the hard network's. The attack on a sample ends
    as soon as it falls. The check at iteration w_j counts the steps up to it, as the authors' code does.
    The attack starts at the clean values plus `noise` (B, ...), which is in units of eps, and calls `tick` after every
    step.
    """
    x = problem.project(problem.clean + budget.eps * noise)
    rest = Survivors(problem, x, {"x": x, "previous": x})
    marks = checkpoints(steps)
    for iteration in range(steps + 1):
        x = rest.state["x"]
        evaluation = rest.problem.evaluate(x, objective)
        logits = evaluation.logits if problem.evaluates_hard else rest.problem.hard_logits(x)
        fallen = rest.problem.reached(logits)
        rest.state = _with_evaluation(rest.problem, budget, rest.state, evaluation)
        rest.keep(x, fallen)
        rest.drop(fallen)
        if not len(rest):
            return rest.result
        if iteration in marks[1:]:
            rest.state = _after_checkpoint(rest.problem, rest.state, iteration - marks[marks.index(iteration) - 1])
        if iteration < steps:
            rest.state = _moved(rest.problem, budget, rest.state, momentum=1.0 if iteration == 0 else MOMENTUM)
            tick()
    rest.keep(rest.state["best"])
    return rest.result


def _with_evaluation(problem: Problem, budget: Budget, state: State, evaluation: Evaluation) -> State:
    """Return the state with the new loss and gradient, the number of rises and the best point so far."""
    new = {"value": evaluation.objective, "slope": evaluation.gradient}
    if "value" not in state:
        best = {"best": state["x"], "best_value": new["value"], "best_slope": new["slope"]}
        counters = {
            "size": torch.full_like(new["value"], 2 * budget.eps),
            "rises": torch.zeros_like(new["value"]),
            "best_before": new["value"],
            "halved": torch.ones_like(new["value"], dtype=torch.bool),
        }
        return state | new | best | counters
    better = new["value"] > state["best_value"]
    wide = problem.wide(better)
    best = {
        "rises": state["rises"] + (new["value"] > state["value"]),
        "best": torch.where(wide, state["x"], state["best"]),
        "best_value": torch.where(better, new["value"], state["best_value"]),
        "best_slope": torch.where(wide, new["slope"], state["best_slope"]),
    }
    return state | new | best


def _after_checkpoint(problem: Problem, state: State, interval: int) -> State:
    """Return the state after a checkpoint, `interval` steps after the last one.

    A sample goes back to its best point with half the step size on either of two conditions: the loss rose in fewer
    than RHO of the steps, or neither the step size nor the best loss has changed since the last checkpoint.
    """
    stuck = ~state["halved"] & (state["best_value"] == state["best_before"])
    halve = (state["rises"] < RHO * interval) | stuck
    wide = problem.wide(halve)
    return state | {
        "size": torch.where(halve, state["size"] / 2, state["size"]),
        "x": torch.where(wide, state["best"], state["x"]),
        "value": torch.where(halve, state["best_value"], state["value"]),
        "slope": torch.where(wide, state["best_slope"], state["slope"]),
        "rises": torch.zeros_like(state["rises"]),
        "best_before": state["best_value"],
        "halved": halve,
    }


def _moved(problem: Problem, budget: Budget, state: State, momentum: float) -> State:
    """Return the state after a step: z = P(x + size sign(g)), x' = P(x + a (z - x) + (1 - a) (x - previous))."""
    x, size = state["x"], problem.wide(state["size"])
    z = problem.project(x + size * budget.direction(state["slope"]))
    step = momentum * (z - x) + (1 - momentum) * (x - state["previous"])
    return state | {"x": problem.project(x + step), "previous": x}
