"""The victims for ModelNet40: MinkowskiFCNNs whose features are the coordinates of the points."""

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from lgm_bench.sparse import SparseTensor
from lgm_bench.voxels import PointCloud
from lgm_bench.voxels.grid import CartesianGrid
from victims.minkfcnn import MinkowskiFCNN
from victims.minkunet import from_official
from victims.point_victim import PointVictim

CLASSES, VOXEL = 40, 0.05


class ShapeVictim(PointVictim):
    """Classifies shapes in the unit sphere."""

    task = "classification"

    def official_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return from_official(state)

    def forward(self, cloud: PointCloud) -> Tensor:
        """Return logits (B, C) of shapes."""
        voxels = self.voxelization(cloud)
        features = voxels.gather(self.network.mlp1(cloud.points, cloud.scene))
        logits: Tensor = self.network(SparseTensor(voxels.coordinates, features, voxels.occupancy))
        return logits


def minknet(embedding: int, **widths: tuple[int, ...]) -> ShapeVictim:
    """Return a victim; `widths` replaces published widths of `MinkowskiFCNN`."""
    return ShapeVictim(MinkowskiFCNN(3, CLASSES, embedding, **widths), CartesianGrid(VOXEL), CLASSES)


minknet_modelnet40 = partial(minknet, 1024)
minknet_small_modelnet40 = partial(minknet, 128)
minknet_modelnet40_mini = partial(minknet, 64, channels=(16, 16, 24, 32, 48), hidden=(128, 64))
