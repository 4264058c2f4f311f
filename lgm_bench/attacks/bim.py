"""Basic iterative method (Kurakin et al. 2017)."""

from lgm_bench.attacks.attack import Attack, State
from lgm_bench.attacks.problem import Evaluation, Problem


class BIM(Attack):
    """Steps towards a higher loss, along signs within L-infinity; 100 of size 1/255 in the paper."""

    name = "bim"

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        return {"x": state["x"] + self.step * self.budget.direction(evaluation.gradient)}  # no gradient, no move
