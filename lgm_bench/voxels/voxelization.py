"""From points to voxels and back: hard, and leaded so that occupancy carries gradient to the points."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lgm_bench.leaded import GradientMethod, Unit
from lgm_bench.sparse.groups import rows_of, soft_or
from lgm_bench.sparse.level import unique_voxels
from lgm_bench.voxels.grid import Grid
from lgm_bench.voxels.neighbours import Reach, neighbour_pairs, own_pairs
from lgm_bench.voxels.point_cloud import PointCloud
from lgm_bench.voxels.relation import VoxelSlopes, soft_floor

SLOPE = 10.0
_CLIPPED = 1e-3  # voxels: more than rounding moves a place


class Voxelization(Unit):
    """Finds the voxels of point clouds; without parameters or buffers, so checkpoints do not see it.

    Under a hard gradient method these are the voxels that points lie in. Under one that softens, the voxels that points
    may reach are added, and each voxel has an occupancy in [0, 1].

    Args:
        grid: The voxels.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def own_slope(self, reach: Reach | None) -> float:
        """Return 10, and more where eps is less than a voxel: 10 / (eps in voxels), see docs/slopes.md."""
        return SLOPE if reach is None else SLOPE * max(1.0, self.grid.edge / reach.eps)

    def forward(self, cloud: PointCloud) -> "Voxels":
        """Return the voxels of a cloud.

        Raises:
            DataError: A coordinate is not finite, or too far away.
        """
        if self.gradient.softens:
            point, voxel = neighbour_pairs(self.grid, cloud.points, self.reach)
        else:
            point, voxel = own_pairs(self.grid, cloud.points)
        coordinates, row = unique_voxels(torch.cat([cloud.scene[point][:, None], voxel], dim=1))
        return Voxels(coordinates, point, row, cloud, self.grid, self.gradient, self.slope)

    def occupied(self, cloud: PointCloud) -> Tensor:
        """Return the voxels of the hard network, (M, 4) int64 = scene, x, y, z, each once, in ascending order."""
        voxels = torch.cat([cloud.scene[:, None], self.grid.voxels(cloud.points)], dim=1)
        return unique_voxels(voxels)[0]


@dataclass
class Voxels:
    """The voxels of a point cloud, and the pairs of points and voxels.

    Attributes:
        coordinates: (M, 4) int64 = scene, x, y, z, each once.
        point: (P,) int64, the point of each pair; the first N pairs are those of points and their own voxels.
        row: (P,) int64, the voxel of each pair, as a row of `coordinates`.
        cloud: The points.
        grid: Their grid.
        gradient: The method in force when the voxels were found.
        slope: The slope in force of the occupancy in the convolutions.
    """

    coordinates: Tensor
    point: Tensor
    row: Tensor
    cloud: PointCloud
    grid: Grid
    gradient: GradientMethod
    slope: float

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def own(self) -> Tensor:
        """(N,) int64, the row of the voxel that each point lies in."""
        return self.row[: len(self.cloud.points)]

    @cached_property
    def slopes(self) -> VoxelSlopes:
        """The slopes of the input, output and floor: those of the gradient method, or else the slope in force.

        FGM then has none. The floor has the slope in force only where that is automatic.
        """
        gradient = self.gradient
        if gradient.voxels is not None or not gradient.softens:
            return (gradient.voxels or VoxelSlopes()).at(self.slope)
        given = isinstance(gradient.slope, float | int)
        return VoxelSlopes(self.slope, self.slope, None if given else self.slope)

    @cached_property
    def occupied(self) -> Tensor:
        """(M,) bool, whether a point lies in the voxel."""
        return torch.zeros(len(self), dtype=torch.bool, device=self.row.device).index_fill_(0, self.own, True)

    @cached_property
    def occupancy(self) -> Tensor | None:
        """(M,) occupancy o(p) = 1 - prod_x (1 - r(x, p)) in the convolutions (Tao et al. 2024, Eq. 31), or None."""
        return self._occupancy(self.slope)

    def gather(self, values: Tensor) -> Tensor:
        """Return features (M, F) of voxels from those of points (N, F) (Tao et al. 2024, Eq. 22; leaded: Eq. 37-38).

        Hard, the mean over the points of a voxel; leaded, o(p) * sum_x r(x, p) f(x) / sum_x r(x, p).
        """
        return self.occupied_input(self.average(values))

    def average(self, values: Tensor) -> Tensor:
        """Return the weighted mean (M, F) of the features (N, F) of each voxel's points (Eq. 37)."""
        return self.average_of_pairs(rows_of(values, self.point))

    def average_of_pairs(self, values: Tensor) -> Tensor:
        """Return the weighted mean (M, F) over each voxel's pairs of values (P, F) of pairs.

        With a hard forward pass, the mean over the points in a voxel; an empty voxel keeps its soft mean.
        """
        soft = self._mean(values)
        if not self._shows_hard:
            return soft
        inside = self._sum(values[: len(self.own)], self.own) / self._count[:, None]
        hard = torch.where(self.occupied[:, None], inside, soft)
        return hard if self.slopes.input is None else _through(hard, soft)

    def occupied_input(self, features: Tensor) -> Tensor:
        """Return features (M, F) times `input_occupancy`, where there is one (Eq. 38)."""
        occupancy = self.input_occupancy
        return features if occupancy is None else features * occupancy[:, None]

    @cached_property
    def input_occupancy(self) -> Tensor | None:
        """(M,) occupancy with the input's slope, or None."""
        return self._occupancy(self.slopes.input or self.slope)

    def scatter(self, values: Tensor) -> Tensor:
        """Return logits (N, C) of points from those of voxels (M, C) (Tao et al. 2024, Eq. 23; leaded: Eq. 39-40).

        Hard, the logits of the voxel that a point lies in; leaded, sum_p r(x, p) y(p) over its pairs.
        """
        if self.slopes.output is None:
            return rows_of(values, self.own)
        log_relation = self.slopes.log_relation(self._distance, self.slopes.output)
        n_points = len(self.own)
        normalized = self.slopes.normalized
        weight = _normalized(log_relation, self.point, n_points) if normalized else log_relation.exp()
        parts = rows_of(values, self.row) * weight[:, None]
        soft = parts.new_zeros(n_points, values.shape[1]).index_add(0, self.point, parts)
        return _through(rows_of(values, self.own), soft) if self._shows_hard else soft

    def coordinate_features(self) -> Tensor:
        """Return the voxels' coordinates (M, 3), x and y relative to their mean over a scene's points.

        With a slope of the floor they depend smoothly on the points.
        """
        slope = self.slopes.floor
        own = self.coordinates[self.own, 1:].to(self.cloud.points.dtype)
        if slope is None:
            voxels, points = self.coordinates[:, 1:].to(own.dtype), own
        else:
            units = self.grid.units(self.cloud.points)
            voxels, points = soft_floor(self.average(units), slope), soft_floor(units, slope)
            if self._shows_hard:
                voxels = _through(self.coordinates[:, 1:].to(own.dtype), voxels)
                points = _through(own, points)
        level = points * points.new_tensor([1, 1, 0])
        counts = torch.bincount(self.cloud.scene).to(points.dtype)
        centre = points.new_zeros(len(counts), 3).index_add(0, self.cloud.scene, level) / counts[:, None]
        return voxels - rows_of(centre, self.coordinates[:, 0])

    @property
    def _shows_hard(self) -> bool:
        """Whether values are those of the hard network, with the gradient of the soft one."""
        return self.gradient.softens and self.gradient.shows_hard

    @cached_property
    def _distance(self) -> Tensor:
        """(P, 3) distance of each pair's point from the voxel's centre, in voxels.

        Along an axis on which a point lies outside the grid, its distance from its own voxel is 0: it would have to
        come back inside before it could leave that voxel.
        """
        units = self.grid.units(self.cloud.points)
        outside = (self.grid.places(self.cloud.points.detach()) - units.detach()).abs() > _CLIPPED
        voxel = self.coordinates[self.row, 1:]
        distance = (rows_of(units, self.point) - (voxel.to(units.dtype) + 0.5)).abs()
        own = voxel == self.coordinates[self.own, 1:][self.point]
        return torch.where(outside[self.point] & own, 0, distance)

    @cached_property
    def _count(self) -> Tensor:
        """(M,) number of points in each voxel, at least 1."""
        return torch.bincount(self.own, minlength=len(self)).clamp(min=1).to(self.cloud.points.dtype)

    @cached_property
    def _count_of_pairs(self) -> Tensor:
        return torch.bincount(self.row, minlength=len(self)).to(self.cloud.points.dtype)

    def _mean(self, values: Tensor) -> Tensor:
        if self.slopes.input is None:
            return self._sum(values, self.row) / self._count_of_pairs[:, None]
        log_relation = self.slopes.log_relation(self._distance, self.slopes.input)
        weight = _normalized(log_relation, self.row, len(self))
        return self._sum(values * weight[:, None], self.row)

    def _sum(self, values: Tensor, row: Tensor) -> Tensor:
        return values.new_zeros(len(self), values.shape[1]).index_add(0, row, values)

    def _occupancy(self, slope: float) -> Tensor | None:
        if not self.gradient.softens:
            return None
        relation = self.slopes.log_relation(self._distance, slope).exp()
        soft = soft_or(relation, self.row, len(self))
        return self.gradient.occupancy(soft, self.occupied.to(soft.dtype))


def _normalized(log_weight: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Return weights (P,) that add up to 1 in each group; stable where all weights of a group are tiny."""
    lowest = log_weight.new_full((n_groups,), -torch.inf)
    largest = lowest.scatter_reduce(0, group, log_weight.detach(), "amax")
    weight = (log_weight - largest[group]).exp()
    total = weight.new_zeros(n_groups).index_add(0, group, weight)
    return weight / rows_of(total, group)


def _through(hard: Tensor, soft: Tensor) -> Tensor:
    """Return `hard` with the gradient of `soft` (straight-through)."""
    return hard.detach() + (soft - soft.detach())
