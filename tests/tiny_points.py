"""Point clouds of a user's own: `tiny_points:Rooms` and `tiny_points:Shapes`, and networks on their voxels."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from datamodules.batch import IGNORED
from datamodules.point_datamodule import PointDataModule
from datamodules.scene import Scene
from lgm_bench.sparse import SparseBatchNorm, SparseConv3d, SparseConvTranspose3d, SparseTensor, activated
from lgm_bench.sparse.layers import global_average_pool
from lgm_bench.voxels import PointCloud
from lgm_bench.voxels.grid import CartesianGrid
from lgm_bench.voxels.voxelization import Voxels
from victims import load_victim
from victims.point_victim import PointVictim

ROOMS, SHAPES, SCENE_NET, SHAPE_NET = (f"tiny_points:{name}" for name in ("Rooms", "Shapes", "SceneNet", "ShapeNet"))
CLASSES, VOXEL, EXTENT = 5, 0.05, 0.5


class _Generated(PointDataModule):
    """Clouds that are drawn, each from a seed of its own, with the labels that the network below gives to most."""

    num_classes = CLASSES
    class_names = ("nothing", "wall", "floor", "chair", "lamp")
    subsets = ("test", "train", "holdout")
    sizes = (90, 140, 60, 110, 75)

    def __init__(self, data_root=None, batch_size=1, limit=None, subset="test", seed=0) -> None:
        super().__init__(data_root, batch_size, limit, subset, seed)

    def list_ids(self, subset: str) -> list[str]:
        return [f"{subset}/{number:02d}" for number in range(len(self.sizes))]

    def file(self, scene_id: str) -> Path:
        return Path(scene_id)

    def points_of(self, scene_id: str) -> tuple[np.ndarray, np.random.Generator]:
        number = int(scene_id.rpartition("/")[2])
        random = np.random.default_rng([number, *scene_id.encode()])
        return random.uniform(0, EXTENT, (self.sizes[number], 3)).astype(np.float32), random


class Rooms(_Generated):
    """Scenes; their first class is no class to be measured, and its points have no label, as in SemanticKITTI."""

    name = "tiny-rooms"
    task = "segmentation"
    ignored_classes = (0,)

    def read(self, scene_id: str) -> Scene:
        points, random = self.points_of(scene_id)
        colours = random.uniform(0, 1, (len(points), 3)).astype(np.float32)
        labels = predicted(SCENE_NET, points, colours)
        labels[::5] = (labels[::5] + 1) % CLASSES
        labels[labels == 0] = IGNORED
        return Scene(points, colours, labels)


class Shapes(_Generated):
    """Shapes, all but every third of the class that the network takes them for."""

    name = "tiny-shapes"
    task = "classification"
    default_batch_size = 4

    def read(self, scene_id: str) -> Scene:
        points, _ = self.points_of(scene_id)
        features, number = np.empty((len(points), 0), np.float32), int(scene_id.rpartition("/")[2])
        return Scene(points, features, (predicted(SHAPE_NET, points, features) + (number % 3 == 2)) % CLASSES)


def predicted(victim: str, points: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The classes (N,) or (1,) that a network of random weights gives to one cloud."""
    one = PointCloud(torch.from_numpy(points), torch.from_numpy(features), torch.zeros(len(points), dtype=torch.int64))
    with torch.no_grad():
        return load_victim(victim)(one).argmax(1).numpy()


class _Network(nn.Module):
    """Down once and up again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.norm = SparseConv3d(channels, 8, 3), SparseBatchNorm(8)
        self.down, self.up = SparseConv3d(8, 12, 2, 2), SparseConvTranspose3d(12, 8, 2, 2)
        self.head = nn.Linear(8, CLASSES)
        nn.init.normal_(self.head.weight, std=2.0)

    def forward(self, x: SparseTensor) -> SparseTensor:
        fine = activated(self.norm(self.first(x)))
        return activated(self.up(activated(self.down(fine)), fine.level))


class SceneNet(PointVictim):
    """Labels points by their colours and their voxels."""

    def __init__(self) -> None:
        super().__init__(_Network(3), CartesianGrid(VOXEL), CLASSES)

    def voxel_logits(self, cloud: PointCloud) -> tuple[Voxels, Tensor]:
        voxels = self.voxelization(cloud)
        x = SparseTensor(voxels.coordinates, voxels.gather(cloud.features - 0.5), voxels.occupancy)
        return voxels, self.network.head(self.network(x).features)


class ShapeNet(PointVictim):
    """Classifies shapes by their coordinates and their voxels."""

    task = "classification"

    def __init__(self) -> None:
        super().__init__(_Network(3), CartesianGrid(VOXEL), CLASSES)

    def forward(self, cloud: PointCloud) -> Tensor:
        voxels = self.voxelization(cloud)
        x = SparseTensor(voxels.coordinates, voxels.gather(cloud.points - EXTENT / 2), voxels.occupancy)
        return self.network.head(global_average_pool(self.network(x)))


class BrokenNet(SceneNet):
    """Whose forward pass fails."""

    def forward(self, cloud: PointCloud) -> Tensor:
        raise ValueError(f"no weights for {len(cloud.points)} points on {torch.device('cpu')}")
