"""Point shifting after Xiang et al. (2019): Carlini & Wagner's margin, and a price for the shift."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from lgm_bench.attacks.adam import adam, no_moments
from lgm_bench.attacks.losses import carlini_wagner_loss
from lgm_bench.attacks.points.base import PointAttack, State
from lgm_bench.attacks.points.distances import shift_norm
from lgm_bench.attacks.points.problem import Evaluation, Part, PointProblem
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import IGNORED, PointCloud


class PointPert(PointAttack):
    """Adam on the shift of every point, with the L2 norm of a cloud's shift as its price, inside the cubes.

    Lowers max(z_y - max_{j != y} z_j, -kappa) + weight * |shift|; in segmentation the margin is summed over the
    labelled points. Step 0.01 (Adam's learning rate), 500 steps, kappa 0 and weight 10 are the publication's code's.
    It searches the weight that gives the smallest successful shift, in ten such runs, and starts from a random shift
    of 1e-7; here the cube bounds the shift, so the search's first weight is kept, and the shift starts from 0.

    Args:
        args: Of `PointAttack`.
        weight: Price of the shift.
        kappa: Margin by which a wrong class has to lead before the price alone counts.
        options: Of `PointAttack`.

    Raises:
        ConfigError: A number is negative or not finite.
    """

    name = "pointpert"
    losses: ClassVar[tuple[str, ...]] = ("margin",)
    default_step: ClassVar[float] = 0.01
    default_steps: ClassVar[int] = 500

    def __init__(self, *args: Any, weight: float = 10.0, kappa: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.weight, self.kappa = weight, kappa
        check_prices(weight=weight, kappa=kappa)

    def start(self, problem: PointProblem) -> State:
        return {"x": problem.clean.points, **no_moments(problem.clean.points)}

    def objective(self, logits: Tensor, labels: Tensor, cloud: PointCloud, part: Part) -> Tensor:
        """Return minus the margins and the price, a scalar; see `PointAttack.objective`."""
        counted = labels != IGNORED
        margins = carlini_wagner_loss(logits[counted], labels[counted], targeted=False, kappa=self.kappa)
        sizes = torch.bincount(cloud.scene).tolist()
        pairs = zip(torch.split(cloud.points, sizes), torch.split(part.clean.points, sizes), strict=True)
        return -margins.sum() - torch.stack([self.price(points, clean) for points, clean in pairs]).sum()

    def price(self, points: Tensor, clean: Tensor) -> Tensor:
        """Return what a scene's change from `clean` (N, 3) to `points` costs, a scalar."""
        return self.weight * shift_norm(points, clean)

    def update(self, problem: PointProblem, state: State, evaluation: Evaluation, iterate: int) -> State:
        direction, moments = adam(evaluation.gradient, state, iterate)
        return {"x": state["x"] + self.step * direction, **moments}


def check_prices(**numbers: float) -> None:
    """Check that numbers are finite and not negative.

    Raises:
        ConfigError: One is not.
    """
    for name, number in numbers.items():
        if not 0 <= number < float("inf"):
            raise ConfigError(f"{name} must be a number of at least 0, got {number}")
