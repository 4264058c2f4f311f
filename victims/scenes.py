"""The victims for indoor scenes: MinkUNets on colours and, for S3DIS, coordinates."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from lgm_bench.sparse import SparseTensor
from lgm_bench.voxels import PointCloud
from lgm_bench.voxels.grid import CartesianGrid
from lgm_bench.voxels.voxelization import Voxels
from victims.minkunet import STEM_WIDTH, MinkUNet, from_official
from victims.point_victim import PointVictim

SCANNET_CLASSES, SCANNET_VOXEL = 20, 0.02
S3DIS_CLASSES, S3DIS_VOXEL = 13, 0.05
BLOCKS = {14: (1,) * 8, 18: (2,) * 8, 34: (2, 3, 4, 6, 2, 2, 2, 2)}
PLANES_34C = (32, 64, 128, 256, 256, 128, 96, 96)
PLANES_34 = (32, 64, 128, 256, 256, 256, 256, 256)
PLANES_SMALL = (16, 32, 48, 64, 64, 48, 32, 32)
PLANES_MINI, STEM_MINI = (12, 16, 24, 24, 16, 16, 12, 12), 12


class SceneVictim(PointVictim):
    """Labels the points of a room.

    Args:
        network: The U-Net.
        grid: The grid of the voxels.
        num_classes: Number of classes.
        coordinates: Whether the features include the voxels' coordinates, centred in x and y, beside the colours.
    """

    def __init__(self, network: MinkUNet, grid: CartesianGrid, num_classes: int, *, coordinates: bool) -> None:
        super().__init__(network, grid, num_classes)
        self.coordinates = coordinates

    def official_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return from_official(state)

    def voxel_logits(self, cloud: PointCloud) -> tuple[Voxels, Tensor]:
        """Return the cloud's voxels and their logits (M, C); the points' features are colours in [0, 1]."""
        voxels = self.voxelization(cloud)
        features = voxels.average(cloud.features - 0.5)
        if self.coordinates:
            features = torch.cat([features, voxels.coordinate_features()], dim=1)
        x = SparseTensor(voxels.coordinates, voxels.occupied_input(features), voxels.occupancy)
        return voxels, self.network(x).features


def scannet(depth: int, planes: tuple[int, ...], stem: int = STEM_WIDTH) -> SceneVictim:
    """Return a victim for ScanNet."""
    network = MinkUNet(3, SCANNET_CLASSES, planes, BLOCKS[depth], stem=stem)
    return SceneVictim(network, CartesianGrid(SCANNET_VOXEL), SCANNET_CLASSES, coordinates=False)


def s3dis(depth: int, planes: tuple[int, ...], stem: int = STEM_WIDTH) -> SceneVictim:
    """Return a victim for S3DIS."""
    network = MinkUNet(6, S3DIS_CLASSES, planes, BLOCKS[depth], stem=stem)
    return SceneVictim(network, CartesianGrid(S3DIS_VOXEL), S3DIS_CLASSES, coordinates=True)


minkunet34c_scannet = partial(scannet, 34, PLANES_34C)
minkunet34_s3dis = partial(s3dis, 34, PLANES_34)
minkunet14_scannet = partial(scannet, 14, PLANES_SMALL)
minkunet14_s3dis = partial(s3dis, 14, PLANES_SMALL)
minkunet18_scannet = partial(scannet, 18, PLANES_SMALL)
minkunet18_s3dis = partial(s3dis, 18, PLANES_SMALL)
minkunet_scannet_mini = partial(scannet, 14, PLANES_MINI, STEM_MINI)
minkunet_s3dis_mini = partial(s3dis, 14, PLANES_MINI, STEM_MINI)
