"""The victims for SemanticKITTI: Cylinder3D on a cylindrical grid."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from lgm_bench.sparse.groups import rows_of
from lgm_bench.voxels import PointCloud
from lgm_bench.voxels.grid import CylindricalGrid
from lgm_bench.voxels.voxelization import Voxels
from victims.cylinder3d import GRID, Cylinder3D, from_official
from victims.point_victim import PointVictim, majority

CLASSES = 20
"""Number of logits; the first one is for unlabelled points."""


class StreetVictim(PointVictim):
    """Labels the points of a LiDAR scan.

    Args:
        network: The network on voxels.
        grid: The same cells in metres and radians.
    """

    def __init__(self, network: Cylinder3D, grid: CylindricalGrid) -> None:
        super().__init__(network, grid, CLASSES)
        self.grid = grid

    def official_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert a state dict of spconv 1 or 2 to the layout of `network`."""
        return from_official(state, {key: value.shape for key, value in self.network.state_dict().items()})

    def voxel_logits(self, cloud: PointCloud) -> tuple[Voxels, Tensor]:
        """Return the cloud's voxels and their logits (M, 20); the points' features are reflectances in [0, 1]."""
        voxels = self.voxelization(cloud)
        features, row, occupancy = self._pair_features(cloud, voxels), voxels.row, voxels.occupancy
        if occupancy is not None:
            # A point contributes its own features to its voxel, and to each voxel within reach that voxel's average
            # (Tao et al. 2024, Eq. (37)-(38)).
            n_points = len(cloud.points)
            averages = rows_of(voxels.average_of_pairs(features), row[n_points:])
            features = torch.cat([features[:n_points], averages]) * rows_of(occupancy, row)[:, None]
            if voxels.gradient.shows_hard:
                own = torch.arange(len(row), device=row.device) < n_points
                features, row = (value[own | ~voxels.occupied[row]] for value in (features, row))
        return voxels, self.network(features, row, voxels.coordinates, occupancy).features

    def scored(self, cloud: PointCloud, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (K, 20) and the most common labels (K,) of the voxels that contain points."""
        voxels, logits = self.voxel_logits(cloud)
        chosen = voxels.occupied
        return logits[chosen], majority(labels, voxels.own, len(voxels))[chosen]

    def _pair_features(self, cloud: PointCloud, voxels: Voxels) -> Tensor:
        """Return (P, 9): offset from the voxel's centre and position, both in (rho, phi, z); (x, y); reflectance."""
        place = rows_of(self.grid.cylindrical(cloud.points), voxels.point)
        centre = self.grid.centres(voxels.coordinates[voxels.row, 1:], place)
        flat, reflectance = rows_of(cloud.points, voxels.point)[:, :2], cloud.features[voxels.point]
        return torch.cat([place - centre, place, flat, reflectance], dim=1)


def cylinder3d(grid: tuple[int, int, int], width: int, point_channels: int, *, shared: bool = True) -> StreetVictim:
    """Return a victim for SemanticKITTI."""
    network = Cylinder3D(CLASSES, width, grid, point_channels, shared=shared)
    return StreetVictim(network, CylindricalGrid(grid))


cylinder3d_semantickitti = partial(cylinder3d, GRID, 32, 256)
cylinder3d_corrected_semantickitti = partial(cylinder3d, GRID, 32, 256, shared=False)
cylinder3d_small_semantickitti = partial(cylinder3d, (240, 180, 32), 8, 64, shared=False)
cylinder3d_semantickitti_mini = partial(cylinder3d, (240, 180, 32), 3, 32, shared=False)
