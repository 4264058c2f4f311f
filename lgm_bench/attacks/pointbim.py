"""Point-BIM, the iterative attack on points of Liu et al. (2019), with the released runs' step."""

from lgm_bench.attacks.attack import State
from lgm_bench.attacks.point_attack import PointAttack
from lgm_bench.attacks.problem import Evaluation, Problem


class PointBIM(PointAttack):
    """Each point moves along its own gradient, so far that the largest component is a full step.

    x <- x + step * g / max(|g_x|, |g_y|, |g_z|); a point without a gradient stays. The default step is 0.01 m or eps
    if that is less, as in the released indoor runs of the leaded gradient.
    """

    name = "pointbim"

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        return {"x": state["x"] + self.step * self.budget.direction(evaluation.gradient)}
