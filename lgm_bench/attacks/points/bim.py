"""Point-BIM, the iterative attack on points of Liu et al. (2019), with the released runs' step."""

import torch

from lgm_bench.attacks.points.base import PointAttack, State
from lgm_bench.attacks.points.problem import Evaluation, PointProblem


class PointBIM(PointAttack):
    """Each point moves along its own gradient, so far that the largest component is a full step.

    x <- x + step * g / max(|g_x|, |g_y|, |g_z|); a point without a gradient stays. The default step is 0.01 m or eps
    if that is less, and 50 steps, as in the released indoor runs of the leaded gradient.
    """

    name = "pointbim"

    def update(self, problem: PointProblem, state: State, evaluation: Evaluation, iterate: int) -> State:
        gradient = evaluation.gradient
        largest = gradient.abs().amax(dim=1, keepdim=True)
        direction = torch.where(largest > 0, gradient / largest, 0)
        return {"x": state["x"] + self.step * direction}
