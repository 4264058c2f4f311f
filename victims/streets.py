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
        own, places, occupancy = voxels.own, self._places(cloud), voxels.occupancy
        centres = self.grid.centres(voxels.coordinates[:, 1:], places)
        features, row = _features(places, centres[own]), own
        if occupancy is not None:
            # A point contributes its own features to its voxel, and to each voxel within reach that voxel's average
            # (Tao et al. 2024, Eq. (37)-(38)). The latter are equal for all points that reach the voxel, and the
            # network takes the maximum over them, so each such voxel gets one row.
            chosen = voxels.pairs.reached & ~voxels.occupied if voxels.shows_hard else voxels.pairs.reached
            reached = chosen.nonzero().squeeze(1)
            averages = _features(rows_of(voxels.average(places), reached), centres[reached])
            row = torch.cat([own, reached])
            features = torch.cat([features, averages]) * rows_of(occupancy, row)[:, None]
        return voxels, self.network(features, row, voxels.coordinates, occupancy).features

    def scored(self, cloud: PointCloud, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (K, 20) and the most common labels (K,) of the voxels that contain points."""
        voxels, logits = self.voxel_logits(cloud)
        chosen = voxels.occupied
        return logits[chosen], majority(labels, voxels.own, len(voxels))[chosen]

    def _places(self, cloud: PointCloud) -> Tensor:
        """Return (N, 6): position in (rho, phi, z); (x, y); reflectance."""
        return torch.cat([self.grid.cylindrical(cloud.points), cloud.points[:, :2], cloud.features], dim=1)


def _features(places: Tensor, centres: Tensor) -> Tensor:
    """Return (R, 9): offset from the voxel's centre (R, 3), and the place (R, 6)."""
    return torch.cat([places[:, :3] - centres, places], dim=1)


def cylinder3d(grid: tuple[int, int, int], width: int, point_channels: int, *, shared: bool = True) -> StreetVictim:
    """Return a victim for SemanticKITTI."""
    network = Cylinder3D(CLASSES, width, grid, point_channels, shared=shared)
    return StreetVictim(network, CylindricalGrid(grid))


cylinder3d_semantickitti = partial(cylinder3d, GRID, 32, 256)
cylinder3d_corrected_semantickitti = partial(cylinder3d, GRID, 32, 256, shared=False)
cylinder3d_small_semantickitti = partial(cylinder3d, (240, 180, 32), 8, 64, shared=False)
cylinder3d_semantickitti_mini = partial(cylinder3d, (240, 180, 32), 3, 32, shared=False)
