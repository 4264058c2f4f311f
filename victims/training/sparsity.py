"""The sparsity criterion of Verelst & Tuytelaars 2020: how much an adaptive network should execute."""

import math

from torch import Tensor


def sparsity_criterion(
    shares: Tensor, costs: Tensor, target: float, progress: float, relaxed_after: float = 0.33
) -> Tensor:
    """Return the penalty that pulls the executed share of the computation to `target`.

    The network's share is held at the target; each block's is kept between bounds that are tight at first and reach
    [0, 1] when `progress` is `relaxed_after`.

    Args:
        shares: (blocks,) executed share of each block's positions, in [0, 1].
        costs: (blocks,) multiply-adds of each block when everything is executed.
        target: Share of the multiply-adds to execute.
        progress: Share of the training run that is over, in [0, 1].
        relaxed_after: Share of the run after which single blocks may take any share; above 1 they never may.
    """
    tightness = math.cos(min(progress / relaxed_after, 1.0) * math.pi / 2) ** 2
    network = ((shares * costs).sum() / costs.sum() - target) ** 2
    below = (tightness * target - shares).clamp(min=0).square().mean()
    above = (shares - (1 - tightness * (1 - target))).clamp(min=0).square().mean()
    return network + below + above
