"""Carlini & Wagner's margin attack (2017) with a budget in place of the norm penalty."""

from lgm_bench.attacks.adam import adam, no_moments
from lgm_bench.attacks.attack import Attack, State
from lgm_bench.attacks.problem import Evaluation, Problem


class CarliniWagner(Attack):
    """Adam (learning rate = step) on the perturbation, projected after every step.

    Lowers max(z_y - max_{j != y} z_j, 0), or max(max_{j != t} z_j - z_t, 0) for a target t: once a sample has
    arrived its gradient is 0, and Adam coasts on its moments.
    """

    name = "cw"
    losses = ("margin", "cross_entropy", "dlr")

    def start(self, problem: Problem) -> State:
        return {"x": problem.clean, **no_moments(problem.clean)}

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        direction, moments = adam(evaluation.gradient, state, iteration)
        return {"x": state["x"] + self.step * direction, **moments}
