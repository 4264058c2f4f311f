"""Point shifting after Tsai et al. (2020): the price keeps points near the surface, and outliers near the others."""

from typing import Any

from torch import Tensor

from lgm_bench.attacks.distances import chamfer_distance, outlier_distance
from lgm_bench.attacks.pointpert import PointPert, check_prices
from lgm_bench.errors import ConfigError


class KNNPert(PointPert):
    """`PointPert` whose price is a Chamfer distance to the clean cloud and the distances of outliers.

    weight * chamfer + knn_weight * outliers, see `distances`. Step 0.001, 2500 steps, kappa 15, the weights 3 and 5,
    k = 5 and alpha = 1.05 are those of the publication's code, which also clips the shift.

    Args:
        args: Of `PointAttack`.
        weight: Price of the Chamfer distance.
        knn_weight: Price of outliers' distances from their neighbours.
        k: Number of neighbours.
        alpha: A point is an outlier so many standard deviations above the mean.
        kappa: See `PointPert`.
        options: Of `PointAttack`.

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
        check_prices(knn_weight=knn_weight, alpha=alpha)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ConfigError(f"k must be a whole number of at least 1, got {k!r}")

    def price(self, points: Tensor, clean: Tensor) -> Tensor:
        outliers = outlier_distance(points, self.k, self.alpha)
        return self.weight * chamfer_distance(points, clean) + self.knn_weight * outliers
