"""Point shifting after Xiang et al. (2019): Carlini & Wagner's margin, and a price for the shift."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lgm_bench.attacks.adam import adam, no_moments
from lgm_bench.attacks.attack import State
from lgm_bench.attacks.distances import shift_norm
from lgm_bench.attacks.objectives import Margin, Objective, Pass
from lgm_bench.attacks.point_attack import PointAttack
from lgm_bench.attacks.problem import Evaluation, Problem
from lgm_bench.attacks.trace import Progress, Ticks, Trace
from lgm_bench.errors import ConfigError

SHORTEST_RUN = 4
"""Iterates of a run, the clean cloud among them; with few steps there are fewer runs."""


class PointPert(PointAttack):
    """Adam on the shift of every point, with the L2 norm of a cloud's shift as its price, inside the cubes.

    Lowers max(z_y - max_{j != y} z_j, -kappa) + weight * |shift|; in segmentation the margin is summed over the
    labelled points. Step 0.01 (Adam's learning rate), 500 steps, kappa 0 and weight 10 are the publication's code's,
    which bisects for the weight of the smallest successful shift in ten such runs and starts from a random shift of
    1e-7. Here the cube bounds the shift: the iterates are divided among `runs`, each begins at the clean cloud, and the
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
    losses = ("margin",)
    default_step = 0.01
    default_steps = 500

    def __init__(self, *args: Any, weight: float = 10.0, kappa: float = 0.0, runs: int = 4, **options: Any) -> None:
        super().__init__(*args, **options)
        self.weight, self.kappa, self.runs = weight, kappa, runs
        check_prices(weight=weight, kappa=kappa)
        if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
            raise ConfigError(f"runs must be a whole number of at least 1, got {runs!r}")

    @property
    def objective(self) -> Objective:
        """What is raised, without the price."""
        return Margin(self.kappa) if isinstance(self.loss, str) else self.loss

    def run(self, problem: Problem, trace: Trace, progress: Progress, *, history: bool) -> None:
        """Walk several times from the clean clouds; each run judges these again as its first iterate."""
        iterates = self.steps + 1
        length = max(-(-iterates // self.runs), SHORTEST_RUN)
        discount = torch.ones(len(problem.ids), dtype=problem.clean.dtype)
        for done in range(0, iterates, length):
            if done:
                discount = torch.where(trace.fallen, discount, discount / 10)
                progress(done, self.steps)
            priced = Priced(self.objective, self.price, discount.to(problem.clean.device))
            ticks = Ticks(progress, done, self.steps)
            self.walk(problem, self.start(problem), min(length, iterates - done) - 1, trace, ticks, priced)

    def start(self, problem: Problem) -> State:
        return {"x": problem.clean, **no_moments(problem.clean)}

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        direction, moments = adam(evaluation.gradient, state, iteration)
        return {"x": state["x"] + self.step * direction, **moments}

    def price(self, points: Tensor, clean: Tensor) -> Tensor:
        """Return what a scene's change from `clean` (N, 3) to `points` costs in the first run, a scalar."""
        return self.weight * shift_norm(points, clean)


class Priced(Objective):
    """Another objective without what the change of each sample costs.

    Args:
        objective: What is raised.
        price: Points (N, 3) of a sample, now and before the attack, to what the change costs.
        discount: (B,), by which the price of each sample of the whole batch is multiplied.
    """

    def __init__(self, objective: Objective, price: Callable[[Tensor, Tensor], Tensor], discount: Tensor) -> None:
        self.objective, self.price, self.discount = objective, price, discount

    def __call__(self, seen: Pass) -> Tensor:
        raised, n_samples = self.objective(seen), len(seen.samples)
        raised = raised if raised.shape == (n_samples,) else raised.sum()[None]
        sizes = torch.bincount(seen.owner, minlength=n_samples).tolist()
        clouds = zip(torch.split(seen.values, sizes), torch.split(seen.clean, sizes), strict=True)
        prices = torch.stack([self.price(points, clean) for points, clean in clouds])
        return raised - self.discount[seen.samples] * prices


def check_prices(**numbers: float) -> None:
    """Check that numbers are finite and not negative.

    Raises:
        ConfigError: One is not.
    """
    for name, number in numbers.items():
        if not 0 <= number < float("inf"):
            raise ConfigError(f"{name} must be a number of at least 0, got {number}")
