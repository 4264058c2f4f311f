"""Attacks that move points, each within the cube of half-width eps around its clean position."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from lgm_bench.attacks.attack import Attack, State
from lgm_bench.attacks.budgets import Budget, Cubes
from lgm_bench.attacks.checks import check_whole
from lgm_bench.attacks.image_attacks import AdamSteps, RandomNoise
from lgm_bench.attacks.objective import Objective, Pass
from lgm_bench.attacks.objectives import Margin
from lgm_bench.attacks.problem import Evaluation, Problem
from lgm_bench.attacks.trace import Progress, Trace
from lgm_bench.errors import ConfigError

SHORTEST_RUN = 4
"""Fewest iterates of a run of `PointPert`, including the clean cloud; with few steps there are fewer runs."""


class PointAttack(Attack):
    """An attack that moves points, each within the cube of half-width eps around its clean position.

    The hard network judges every iterate, the clean cloud first, and the attack returns the best iterate of each cloud.
    In segmentation the best one has the lowest mIoU of the scene. In classification a misclassified iterate beats a
    correct one, and then the lower margin of the true class wins. With a loss about compute, the one with the most
    operations is best, or for "underload" with the fewest. Scenes go through the network one by one, shapes
    together.

    Args:
        eps: Largest move of a point along an axis, metres.
        step: Size of a step, metres; None: the attack's default.
        steps: Number of steps; None: the attack's default.
        loss: What the attack raises, as in `Attack`; "lovasz" is for segmentation.
        seed: Seed of all random draws.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: The attack has no loss of this name.
    """

    inputs = "points"
    options: ClassVar[tuple[str, ...]] = ("loss", "seed")
    keeps_best = True
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "lovasz", "compute", "underload")
    default_step = 0.01
    default_steps = 50
    fewest_steps = 0

    def __init__(
        self,
        eps: float | Cubes,
        step: float | None = None,
        steps: int | None = None,
        *,
        loss: str | Objective | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(eps if isinstance(eps, Budget) else Cubes(eps), step, steps, loss=loss, seed=seed)

    @classmethod
    def usual_step(cls, eps: float) -> float:
        """Return the default step, or eps if that is less."""
        return min(super().usual_step(eps), eps)


class RandomPerturbation(RandomNoise, PointAttack):
    """A uniform draw from each point's cube; see `RandomNoise`."""

    name = "random"
    fewest_steps = 1


class PointBIM(PointAttack):
    """Point-BIM, the iterative attack of Liu et al. (2019), with the step of the released runs.

    Each point moves along its own gradient until its largest component is a full step:
    x <- x + step * g / max(|g_x|, |g_y|, |g_z|). A point without a gradient stays. The default step is 0.01 m, or eps
    if that is less, as in the released indoor runs of the leaded gradient.
    """

    name = "pointbim"

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        return {"x": state["x"] + self.step * self.budget.direction(evaluation.gradient)}


class PointPert(AdamSteps, PointAttack):
    """Point shifting after Xiang et al. (2019): Adam on the shift of every point within its cube, with a price.

    Lowers max(z_y - max_{j != y} z_j, -kappa) + weight * |shift|, where |shift| is the L2 norm of the whole cloud's
    shift. In segmentation the margin is summed over the labelled points. The defaults (step, which is Adam's learning
    rate, steps, kappa and weight) are those of the publication's code. That code starts from a random shift of 1e-7 and
    bisects the weight in ten runs to find the smallest successful shift. Here the cube bounds the shift, the iterates
    are divided among `runs`, and each run starts at the clean cloud. Before the next run, the weight is divided by ten
    for clouds that have not fallen yet; scenes never fall.

    Args:
        weight: Price of the shift in the first run.
        kappa: Lead of a wrong class above which only the price counts.
        runs: Number of runs.

    Raises:
        ConfigError: A number is negative or not finite, or runs is below 1.
    """

    name = "pointpert"
    losses = ("margin",)
    default_steps = 500

    def __init__(self, *args: Any, weight: float = 10.0, kappa: float = 0.0, runs: int = 4, **options: Any) -> None:
        super().__init__(*args, **options)
        self.weight, self.kappa, self.runs = weight, kappa, runs
        _check_prices(weight=weight, kappa=kappa)
        check_whole(1, runs=runs)

    @property
    def objective(self) -> Objective:
        """What the attack raises, without the price."""
        return Margin(self.kappa) if isinstance(self.loss, str) else self.loss

    def run(self, problem: Problem, trace: Trace, progress: Progress, *, history: bool) -> None:
        """Run the loop several times from the clean clouds, which every run judges again as its first iterate."""
        iterates = self.steps + 1
        length = max(-(-iterates // self.runs), SHORTEST_RUN)
        discount = torch.ones(len(problem.ids), dtype=problem.clean.dtype)
        for done in range(0, iterates, length):
            if done:
                discount = torch.where(trace.fallen, discount, discount / 10)
                progress(done, self.steps)
            priced = Priced(self.objective, self.price, discount.to(problem.clean.device))
            self.walk(problem, min(length, iterates - done) - 1, trace, progress, priced, done=done)

    def price(self, points: Tensor, clean: Tensor) -> Tensor:
        """Return the price (a scalar) of a cloud's change from `clean` (N, 3) to `points` (N, 3) in the first run."""
        return self.weight * shift_norm(points, clean)


class KNNPert(PointPert):
    """Point shifting after Tsai et al. (2020): the price keeps points near the surface and outliers near others.

    The price is weight * chamfer + knn_weight * outliers, see `chamfer_distance` and `outlier_distance`. The defaults
    are those of the publication's code, which also clips the shift.

    Args:
        weight: Price of the Chamfer distance.
        knn_weight: Price of the outliers' distances from their neighbours.
        k: Number of neighbours.
        alpha: Number of standard deviations above the mean from which a point is an outlier.
        kappa: See `PointPert`.

    Raises:
        ConfigError: A number is negative or not finite, or k is below 1.
    """

    name = "knnpert"
    default_step = 0.001
    default_steps = 2500

    def __init__(
        self,
        *args: Any,
        weight: float = 3.0,
        knn_weight: float = 5.0,
        k: int = 5,
        alpha: float = 1.05,
        kappa: float = 15.0,
        **options: Any,
    ) -> None:
        super().__init__(*args, weight=weight, kappa=kappa, **options)
        self.knn_weight, self.k, self.alpha = knn_weight, k, alpha
        _check_prices(knn_weight=knn_weight, alpha=alpha)
        check_whole(1, k=k)

    def price(self, points: Tensor, clean: Tensor) -> Tensor:
        outliers = outlier_distance(points, self.k, self.alpha)
        return self.weight * chamfer_distance(points, clean) + self.knn_weight * outliers


class Priced(Objective):
    """An objective minus the price of each sample's change.

    Args:
        objective: The objective.
        price: Maps the points (N, 3) of a sample, now and before the attack, to the price of the change.
        discount: (B,), factor of the price of each sample in the whole batch.
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


def shift_norm(points: Tensor, clean: Tensor) -> Tensor:
    """Return the L2 norm (a scalar) of a cloud's shift from `clean` (N, 3); its gradient is 0 if nothing moved."""
    squares = (points - clean).square().sum()
    return squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt()


def chamfer_distance(points: Tensor, clean: Tensor) -> Tensor:
    """Return the sum over `points` (N, 3) of the squared distance to the nearest point of `clean` (M, 3), a scalar.

    Tsai et al. (2020) use this direction only.
    """
    return (points - clean[_nearest(points, clean, 1)[:, 0]]).square().sum()


def outlier_distance(points: Tensor, k: int, alpha: float) -> Tensor:
    """Return the sum of the outliers' distances from their neighbours, a scalar (Tsai et al. 2020).

    The distance d of a point is the mean of its squared distances from its k nearest neighbours, or from all others if
    there are fewer. It counts if d >= mean(d) + alpha * std(d); the gradient ignores this threshold.

    Args:
        points: (N, 3).
        k: Number of neighbours.
        alpha: Standard deviations above the mean.
    """
    k = min(k, len(points) - 1)
    if k == 0:
        return points.sum() * 0
    neighbours = points[_nearest(points, points, k + 1)[:, 1:]]
    distance = (points[:, None] - neighbours).square().sum(dim=2).mean(dim=1)
    threshold = distance.detach().mean() + alpha * distance.detach().std(correction=0)
    return distance[distance >= threshold].sum()


def _nearest(points: Tensor, others: Tensor, k: int) -> Tensor:
    """Return the rows (N, k) int64 of the k nearest `others` of each point, the nearest first."""
    tree = cKDTree(others.detach().cpu().numpy())
    rows = tree.query(points.detach().cpu().numpy(), k=list(range(1, k + 1)))[1]
    return torch.from_numpy(rows).to(points.device)


def _check_prices(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 <= number < float("inf"):
            raise ConfigError(f"{name} must be a number of at least 0, got {number}")
