"""From points to voxels and back: hard, or leaded so that occupancies have gradients with respect to the points."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lgm_bench.leaded import GradientMethod, Unit
from lgm_bench.sparse.compiled import FLOATING, usable
from lgm_bench.sparse.groups import rows_of
from lgm_bench.sparse.level import unique_voxels
from lgm_bench.voxels.compiled_pairs import CompiledPairs
from lgm_bench.voxels.grid import Grid
from lgm_bench.voxels.neighbours import Reach
from lgm_bench.voxels.pairs import ListedPairs, Pairs
from lgm_bench.voxels.point_cloud import PointCloud
from lgm_bench.voxels.relation import Relation, VoxelSlopes, soft_floor

SLOPE = 10.0


class Voxelization(Unit):
    """Computes the voxels of point clouds; without parameters or buffers, so that it is not part of checkpoints.

    Under a hard gradient method these are the voxels that contain points. A method that softens adds the voxels that
    points may reach, and each voxel has an occupancy in [0, 1].

    Args:
        grid: The voxels.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def own_slope(self, reach: Reach | None) -> float:
        """Return 10, or 10 / (eps in voxels) if eps is less than a voxel; see docs/slopes.md."""
        return SLOPE if reach is None else SLOPE * max(1.0, self.grid.edge / reach.eps)

    def forward(self, cloud: PointCloud) -> "Voxels":
        """Return the voxels of a cloud.

        Raises:
            DataError: A coordinate is not finite, or too far away.
        """
        softens = self.gradient.softens
        compiled = usable(*cloud) and cloud.points.dtype in FLOATING and len(cloud.points) > 0
        kind = CompiledPairs if compiled else ListedPairs
        pairs = kind(self.grid, cloud, softens=softens, reach=self.reach)
        return Voxels(pairs, cloud, self.grid, self.gradient, self.slope)

    def occupied(self, cloud: PointCloud) -> Tensor:
        """Return the voxels of the hard network, (M, 4) int64 = scene, x, y, z, unique and ascending."""
        voxels = torch.cat([cloud.scene[:, None], self.grid.voxels(cloud.points)], dim=1)
        return unique_voxels(voxels)[0]


@dataclass
class Voxels:
    """The voxels of a point cloud, and what lies in them and around them.

    Attributes:
        pairs: The pairs of points and voxels.
        cloud: The points.
        grid: The grid.
        gradient: The gradient method in force.
        slope: The slope in force, of the occupancy in the convolutions.
    """

    pairs: Pairs
    cloud: PointCloud
    grid: Grid
    gradient: GradientMethod
    slope: float

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def coordinates(self) -> Tensor:
        """(M, 4) int64 = scene, x, y, z, each voxel once."""
        return self.pairs.coordinates

    @property
    def own(self) -> Tensor:
        """(N,) int64, row of the voxel of each point."""
        return self.pairs.own

    @cached_property
    def slopes(self) -> VoxelSlopes:
        """The slopes of input, output and floor: those of the gradient method, or by default the slope in force.

        By default FGM has none, and the floor has one only if the slope is automatic.
        """
        gradient = self.gradient
        if gradient.voxels is not None or not gradient.softens:
            return (gradient.voxels or VoxelSlopes()).at(self.slope)
        given = isinstance(gradient.slope, float | int)
        return VoxelSlopes(self.slope, self.slope, None if given else self.slope)

    @cached_property
    def occupied(self) -> Tensor:
        """(M,) bool, whether a voxel contains a point."""
        return torch.zeros(len(self), dtype=torch.bool, device=self.own.device).index_fill_(0, self.own, True)

    @cached_property
    def occupancy(self) -> Tensor | None:
        """(M,) occupancy o(p) = 1 - prod_x (1 - r(x, p)) in convolutions (Tao et al. 2024, Eq. 31); None if hard."""
        return self._occupancy(self.slope)

    def gather(self, values: Tensor) -> Tensor:
        """Return features (M, F) of voxels from those of points (N, F) (Tao et al. 2024, Eq. 22; leaded: Eq. 37-38).

        The hard value is the mean over the points of a voxel, the leaded one o(p) sum_x r(x, p) f(x) / sum_x r(x, p).
        """
        return self.occupied_input(self.average(values))

    def average(self, values: Tensor) -> Tensor:
        """Return the weighted mean (M, F) of the features (N, F) of each voxel's points (Eq. 37).

        With a hard forward pass it is the mean over the points in the voxel; an empty voxel keeps its soft mean.
        """
        slope = self.slopes.input
        soft = self.pairs.mean(values, None if slope is None else self._relation(slope))
        if not self.shows_hard:
            return soft
        inside = values.new_zeros(soft.shape).index_add(0, self.own, values) / self._count[:, None]
        hard = torch.where(self.occupied[:, None], inside, soft)
        return hard if slope is None else _through(hard, soft)

    def occupied_input(self, features: Tensor) -> Tensor:
        """Return features (M, F) times `input_occupancy` if there is one (Eq. 38)."""
        occupancy = self.input_occupancy
        return features if occupancy is None else features * occupancy[:, None]

    @cached_property
    def input_occupancy(self) -> Tensor | None:
        """(M,) occupancy with the slope of the input; None if hard."""
        return self._occupancy(self.slopes.input or self.slope)

    def scatter(self, values: Tensor) -> Tensor:
        """Return logits (N, C) of points from those of voxels (M, C) (Tao et al. 2024, Eq. 23; leaded: Eq. 39-40).

        The hard value is that of the point's own voxel, the leaded one sum_p r(x, p) y(p) over the point's pairs.
        """
        if self.slopes.output is None:
            return rows_of(values, self.own)
        relation = self._relation(self.slopes.output)
        soft = self.pairs.spread(values, relation, normalized=self.slopes.normalized)
        return _through(rows_of(values, self.own), soft) if self.shows_hard else soft

    def coordinate_features(self) -> Tensor:
        """Return the coordinates (M, 3) of voxels, with x and y relative to the mean over the points of the scene.

        If the floor has a slope, they depend smoothly on the points.
        """
        slope = self.slopes.floor
        own = self.coordinates[self.own, 1:].to(self.cloud.points.dtype)
        if slope is None:
            voxels, points = self.coordinates[:, 1:].to(own.dtype), own
        else:
            units = self.pairs.units
            voxels, points = soft_floor(self.average(units), slope), soft_floor(units, slope)
            if self.shows_hard:
                voxels = _through(self.coordinates[:, 1:].to(own.dtype), voxels)
                points = _through(own, points)
        level = points * points.new_tensor([1, 1, 0])
        counts = torch.bincount(self.cloud.scene).to(points.dtype)
        centre = points.new_zeros(len(counts), 3).index_add(0, self.cloud.scene, level) / counts[:, None]
        return voxels - rows_of(centre, self.coordinates[:, 0])

    @property
    def shows_hard(self) -> bool:
        """Whether values are hard but have the gradient of the soft ones."""
        return self.gradient.softens and self.gradient.shows_hard

    @cached_property
    def _count(self) -> Tensor:
        """(M,) number of points in each voxel, at least 1."""
        return torch.bincount(self.own, minlength=len(self)).clamp(min=1).to(self.cloud.points.dtype)

    def _relation(self, slope: float) -> Relation:
        return Relation(self.slopes.relation, slope)

    def _occupancy(self, slope: float) -> Tensor | None:
        if not self.gradient.softens:
            return None
        soft = self.pairs.soft_or(self._relation(slope))
        return self.gradient.occupancy(soft, self.occupied.to(soft.dtype))


def _through(hard: Tensor, soft: Tensor) -> Tensor:
    """Return `hard` with the gradient of `soft` (straight-through)."""
    return hard.detach() + (soft - soft.detach())
