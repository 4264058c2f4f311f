"""Basic iterative method (Kurakin et al. 2017)."""

from lgm_bench.attacks.base import Attack, State
from lgm_bench.attacks.problem import Evaluation, Problem


class BIM(Attack):
    """Sign steps, each followed by the projection into the box; 100 of size 1 in the paper."""

    name = "bim"

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        moved = state["x"] + self.step_size * evaluation.gradient.sign()  # sign(0) = 0: no gradient, no move
        return {"x": problem.project(moved)}
