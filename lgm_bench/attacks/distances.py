"""How far a cloud has been changed, as attacks pay for it; differentiable."""

import torch
from scipy.spatial import cKDTree
from torch import Tensor


def shift_norm(points: Tensor, clean: Tensor) -> Tensor:
    """Return the L2 norm of the shift of a whole cloud, a scalar; its gradient is 0 where nothing has moved.

    Args:
        points: (N, 3).
        clean: (N, 3) where they were.
    """
    squares = (points - clean).square().sum()
    return squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt()


def chamfer_distance(points: Tensor, clean: Tensor) -> Tensor:
    """Return the sum over `points` (N, 3) of the squared distance to the nearest of the `clean` (M, 3), a scalar.

    Only this way round, as Tsai et al. (2020) use it.
    """
    return (points - clean[_nearest(points, clean, 1)[:, 0]]).square().sum()


def outlier_distance(points: Tensor, k: int, alpha: float) -> Tensor:
    """Return the sum of the distances of outliers from their neighbours, a scalar (Tsai et al. 2020).

    A point's distance d is the mean of its squared distances from its k nearest neighbours; it counts where
    d >= mean(d) + alpha * std(d), a threshold that is constant to autograd.

    Args:
        points: (N, 3); fewer than k + 1 have the fewer neighbours.
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
    """Return the rows (N, k) int64 of the nearest `others` of each point, the nearest first."""
    tree = cKDTree(others.detach().cpu().numpy())
    rows = tree.query(points.detach().cpu().numpy(), k=list(range(1, k + 1)))[1]
    return torch.from_numpy(rows).to(points.device)
