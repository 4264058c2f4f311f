"""Point shifting after Xiang et al. (2019): Carlini & Wagner's margin, and a price for the shift."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lgm_bench.attacks.adam import adam, no_moments
from lgm_bench.attacks.losses import carlini_wagner_loss
from lgm_bench.attacks.points.base import PointAttack, State
from lgm_bench.attacks.points.distances import shift_norm
from lgm_bench.attacks.points.problem import Evaluation, Part, PointProblem
from lgm_bench.attacks.points.result import Progression
from lgm_bench.errors import ConfigError
from lgm_bench.voxels import IGNORED, PointCloud

SHORTEST_RUN = 4
"""Iterates of a run, the clean cloud among them; with few steps there are fewer runs."""


class PointPert(PointAttack):
    """Adam on the shift of every point, with the L2 norm of a cloud's shift as its price, inside the cubes.

    Lowers max(z_y - max_{j != y} z_j, -kappa) + weight * |shift|; in segmentation the margin is summed over the
    labelled points. Step 0.01 (Adam's learning rate), 500 steps, kappa 0 and weight 10 are the publication's code's,
    which bisects for the weight of the smallest successful shift in ten such runs and starts from a random shift of
    1e-7. Here the cube bounds the shift: the steps are divided among `runs`, each begins at the clean cloud, and the
    weight of a cloud that has not fallen yet (a scene never does) is a tenth in the next.

    Args:
        args: Of `PointAttack`.
        weight: Price of the shift in the first run.
        kappa: Margin by which a wrong class has to lead before the price alone counts.
        runs: Number of runs.
        options: Of `PointAttack`.

    Raises:
        ConfigError: A number is negative or not finite, or runs is below 1.
    """

    name = "pointpert"
    losses: ClassVar[tuple[str, ...]] = ("margin",)
    default_step: ClassVar[float] = 0.01
    default_steps: ClassVar[int] = 500

    def __init__(self, *args: Any, weight: float = 10.0, kappa: float = 0.0, runs: int = 4, **options: Any) -> None:
        super().__init__(*args, **options)
        self.weight, self.kappa, self.runs = weight, kappa, runs
        check_prices(weight=weight, kappa=kappa)
        if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
            raise ConfigError(f"runs must be a whole number of at least 1, got {runs!r}")

    def start(self, problem: PointProblem) -> State:
        discount = problem.clean.points.new_ones(len(problem.ids))
        return {"x": problem.clean.points, "discount": discount, **no_moments(problem.clean.points)}

    def advance(self, problem: PointProblem, state: State, iterate: int, progression: Progression) -> State:
        """Return the state after one more iteration; after the last one of a run, that before the first of the next."""
        length = max(-(-self.iterates // self.runs), SHORTEST_RUN)
        number = (iterate + 1) % length
        if number == 0:
            discount = torch.where(progression.fallen, state["discount"], state["discount"] / 10)
            return self.start(problem) | {"discount": discount}
        discounts = dict(zip(problem.ids, state["discount"].unbind(), strict=True))
        evaluation = problem.evaluate(state["x"], partial(self.priced, discounts))
        progression.evaluated(evaluation)
        return state | self.update(problem, state, evaluation, number - 1)

    def priced(
        self, discounts: Mapping[str, Tensor], logits: Tensor, labels: Tensor, cloud: PointCloud, part: Part
    ) -> Tensor:
        """Return minus the margins and the price, a scalar.

        Args:
            discounts: By scene id, what the weight is multiplied by.
            logits: See `PointAttack.objective`, as of all that follow.
            labels: (K,) int64.
            cloud: The points where they are now.
            part: The clean ones.
        """
        counted = labels != IGNORED
        margins = carlini_wagner_loss(logits[counted], labels[counted], targeted=False, kappa=self.kappa)
        sizes = torch.bincount(cloud.scene).tolist()
        pairs = zip(part.ids, torch.split(cloud.points, sizes), torch.split(part.clean.points, sizes), strict=True)
        prices = [discounts[name] * self.price(points, clean) for name, points, clean in pairs]
        return -margins.sum() - torch.stack(prices).sum()

    def price(self, points: Tensor, clean: Tensor) -> Tensor:
        """Return what a scene's change from `clean` (N, 3) to `points` costs in the first run, a scalar."""
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
