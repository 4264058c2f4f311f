"""Auto-PGD (Croce & Hein 2020, Alg. 1): PGD with momentum that chooses its own step size."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lgm_bench.attacks.attack import State
from lgm_bench.attacks.budgets import Budget
from lgm_bench.attacks.objectives import Objective
from lgm_bench.attacks.problem import Evaluation, Problem

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
    """Return values (B, ...): the first that fell on the hard network, or else those of the highest loss.

    Loss and gradient are those of the gradient method; the verdict is the hard network's. A sample that has fallen is
    not worked on further. The check at iteration w_j counts the steps up to it, as the authors' code does.

    Args:
        problem: Samples to attack.
        budget: How far the values may move.
        objective: What is raised.
        noise: Start in the budget in units of eps, (B, ...).
        steps: Number of steps.
        tick: Called after every step.
    """
    x = problem.project(problem.clean + budget.eps * noise)
    images, rows = x.clone(), torch.arange(len(x), device=x.device)
    state = {"x": x, "previous": x}
    marks = checkpoints(steps)
    for iteration in range(steps + 1):
        evaluation = problem.evaluate(state["x"], objective)
        logits = evaluation.logits if problem.evaluates_hard else problem.hard_logits(state["x"])
        fallen = problem.reached(logits)
        state = _noted(problem, budget, state, evaluation)
        images[rows[fallen]] = state["x"][fallen]
        if bool(fallen.any()):
            rows, problem, state = rows[~fallen], problem.select(~fallen), {k: v[~fallen] for k, v in state.items()}
        if not len(rows):
            return images
        if iteration in marks[1:]:
            state = _reconsidered(problem, state, iteration - marks[marks.index(iteration) - 1])
        if iteration < steps:
            state = _moved(problem, budget, state, momentum=1.0 if iteration == 0 else MOMENTUM)
            tick()
    images[rows] = state["best"]
    return images


def _noted(problem: Problem, budget: Budget, state: State, evaluation: Evaluation) -> State:
    """Return the state with the new loss and gradient, the count of rises, and the best point so far."""
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


def _reconsidered(problem: Problem, state: State, interval: int) -> State:
    """Return the state after a checkpoint, `interval` steps after the last one.

    The step size is halved, and the sample goes back to its best point, where the loss rose in fewer than RHO of the
    steps (condition 1), or where neither the step size nor the best loss has changed since the last checkpoint
    (condition 2).
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
