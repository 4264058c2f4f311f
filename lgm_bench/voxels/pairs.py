"""Sums over the pairs of points and the voxels in their reach, in plain PyTorch over a list of the pairs."""

from functools import cached_property

import torch
from torch import Tensor

from lgm_bench.sparse.groups import rows_of, soft_or
from lgm_bench.sparse.level import unique_voxels
from lgm_bench.voxels.grid import Grid
from lgm_bench.voxels.neighbours import Reach, neighbour_pairs, own_pairs
from lgm_bench.voxels.point_cloud import PointCloud
from lgm_bench.voxels.relation import Relation

_CLIPPED = 1e-3  # voxels: more than rounding moves a place


class Pairs:
    """The pairs (x, p) of points and voxels, p in N(x) or the voxel of x only; subclasses form the sums over them.

    All sums are the soft ones, with gradients to the points and to the values that are summed, once. Which of them a
    network uses, and whether with its gradient, is decided by the gradient method.

    Args:
        grid: The grid.
        cloud: The points.

    Attributes:
        coordinates: (M, 4) int64 = scene, x, y, z, each voxel once, in ascending order.
        own: (N,) int64, row of the voxel of each point.
        reached: (M,) bool, whether a point of another voxel has the voxel in its reach.
    """

    coordinates: Tensor
    own: Tensor
    reached: Tensor

    def __init__(self, grid: Grid, cloud: PointCloud) -> None:
        self.grid, self.points = grid, cloud.points

    @cached_property
    def units(self) -> Tensor:
        """(N, 3) positions of the points in voxels, differentiable."""
        return self.grid.units(self.points)

    @cached_property
    def outside(self) -> Tensor:
        """(N, 3) bool, whether a point is outside the grid along an axis.

        The distance to its own voxel along that axis is then 0: the point would have to come back inside before it
        could leave the voxel.
        """
        return (self.grid.places(self.points.detach()) - self.units.detach()).abs() > _CLIPPED

    def soft_or(self, relation: Relation) -> Tensor:
        """Return 1 - prod_x (1 - r(x, p)) of each voxel, (M,) (Tao et al. 2024, Eq. 31)."""
        raise NotImplementedError

    def mean(self, values: Tensor, relation: Relation | None) -> Tensor:
        """Return the mean (M, F) over the pairs of each voxel of the points' values (N, F) (Eq. 37).

        The relation is the weight; without one all pairs of a voxel weigh the same.
        """
        raise NotImplementedError

    def spread(self, values: Tensor, relation: Relation, *, normalized: bool) -> Tensor:
        """Return sum_p r(x, p) y(p), (N, C), over the pairs of each point, from values (M, C) of voxels (Eq. 40).

        Args:
            values: Values of the voxels.
            relation: The weight.
            normalized: Whether the weights of a point are divided by their sum.
        """
        raise NotImplementedError


class ListedPairs(Pairs):
    """Pairs in two lists, in plain PyTorch: the reference, and what is used on GPUs and without a compiler.

    Args:
        grid: The grid.
        cloud: The points.
        softens: Whether neighbours take part, and not only the voxels that hold points.
        reach: How far points can move; None: to all neighbours.

    Raises:
        DataError: A coordinate is not finite, or too far away; or there are no points.
    """

    def __init__(self, grid: Grid, cloud: PointCloud, *, softens: bool, reach: Reach | None) -> None:
        super().__init__(grid, cloud)
        if softens:
            self.point, voxel = neighbour_pairs(grid, cloud.points, reach)
        else:
            self.point, voxel = own_pairs(grid, cloud.points)
        self.coordinates, self.row = unique_voxels(torch.cat([cloud.scene[self.point][:, None], voxel], dim=1))
        self.own = self.row[: len(cloud.points)]
        n_voxels, others = len(self.coordinates), self.row[len(cloud.points) :]
        self.reached = torch.zeros(n_voxels, dtype=torch.bool, device=self.row.device).index_fill_(0, others, True)

    def soft_or(self, relation: Relation) -> Tensor:
        return soft_or(relation.log(self._distance).exp(), self.row, len(self.coordinates))

    def mean(self, values: Tensor, relation: Relation | None) -> Tensor:
        listed, n_voxels = rows_of(values, self.point), len(self.coordinates)
        sums = listed.new_zeros(n_voxels, values.shape[1])
        if relation is None:
            counts = torch.bincount(self.row, minlength=n_voxels).to(values.dtype)
            return sums.index_add(0, self.row, listed) / counts[:, None]
        weight = _normalized(relation.log(self._distance), self.row, n_voxels)
        return sums.index_add(0, self.row, listed * weight[:, None])

    def spread(self, values: Tensor, relation: Relation, *, normalized: bool) -> Tensor:
        log, n_points = relation.log(self._distance), len(self.own)
        weight = _normalized(log, self.point, n_points) if normalized else log.exp()
        parts = rows_of(values, self.row) * weight[:, None]
        return parts.new_zeros(n_points, values.shape[1]).index_add(0, self.point, parts)

    @cached_property
    def _distance(self) -> Tensor:
        """(P, 3) distance between point and centre of the voxel in each pair, in voxels."""
        voxel = self.coordinates[self.row, 1:]
        distance = (rows_of(self.units, self.point) - (voxel.to(self.units.dtype) + 0.5)).abs()
        own = voxel == self.coordinates[self.own, 1:][self.point]
        return torch.where(self.outside[self.point] & own, 0, distance)


def _normalized(log_weight: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Return weights (P,) that add up to 1 in each group; stable even if all weights of a group are tiny."""
    lowest = log_weight.new_full((n_groups,), -torch.inf)
    largest = lowest.scatter_reduce(0, group, log_weight.detach(), "amax")
    weight = (log_weight - largest[group]).exp()
    total = weight.new_zeros(n_groups).index_add(0, group, weight)
    return weight / rows_of(total, group)
