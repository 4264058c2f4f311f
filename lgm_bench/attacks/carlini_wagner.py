"""Carlini & Wagner's margin attack (2017) with a box in place of the norm penalty."""

import torch
from torch import Tensor

from lgm_bench.attacks.base import Attack, State
from lgm_bench.attacks.losses import carlini_wagner_loss
from lgm_bench.attacks.problem import Evaluation, Problem

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class CarliniWagner(Attack):
    """Adam (learning rate = step) on the perturbation, projected into the box after every step.

    Lowers max(z_y - max_{j != y} z_j, 0), or max(max_{j != t} z_j - z_t, 0) for a target t: once a sample has
    arrived its gradient is 0, and Adam coasts on its moments.
    """

    name = "cw"

    def start(self, problem: Problem) -> State:
        zero = torch.zeros_like(problem.clean)
        return {"x": problem.clean, "first": zero, "second": zero}

    def objective(self, logits: Tensor, problem: Problem) -> Tensor:
        return -carlini_wagner_loss(logits, problem.classes, targeted=problem.targeted)

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        gradient = evaluation.gradient
        first = BETA_1 * state["first"] + (1 - BETA_1) * gradient
        second = BETA_2 * state["second"] + (1 - BETA_2) * gradient.square()
        first_unbiased = first / (1 - BETA_1 ** (iteration + 1))
        second_unbiased = second / (1 - BETA_2 ** (iteration + 1))
        moved = state["x"] + self.step_size * first_unbiased / (second_unbiased.sqrt() + EPSILON)
        return {"x": problem.project(moved), "first": first, "second": second}
