"""Small clouds, and small victims of each kind of point cloud in float64 with random weights that matter."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.batch import IGNORED, PointBatch
from lgm_bench.attacks.point_attacks import PointAttack
from lgm_bench.attacks.trace import AttackResult
from lgm_bench.leaded import FGM, GradientMethod
from lgm_bench.voxels import PointCloud
from victims import load_victim
from victims.point_victim import PointVictim
from victims.streets import cylinder3d

#: Number of features, and the extent in metres at which voxels hold a point or a few and have neighbours.
VICTIMS = {
    "minkunet14-scannet": (3, 0.2),
    "minkunet14-s3dis": (3, 0.5),
    "cylinder3d-tiny": (1, 4.0),
    "minknet-small-modelnet40": (0, 0.5),
}


@lru_cache
def victim(name: str, seed: int = 0) -> PointVictim:
    """A victim whose batch norms are no identities; do not change it."""
    if name == "cylinder3d-tiny":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = cylinder3d((240, 180, 32), 2, 16, shared=False).eval().double()
    else:
        network = load_victim(name, "random", seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
    return network.requires_grad_(False)


def cloud(name: str, sizes: tuple[int, ...] = (150, 110), seed: int = 0) -> PointCloud:
    """Scenes of so many random points for a victim, in float64."""
    features, extent = VICTIMS[name]
    generator = torch.Generator().manual_seed(seed)
    n = sum(sizes)
    points = (torch.rand(n, 3, generator=generator, dtype=torch.float64) - 0.4) * extent
    colours = torch.rand(n, features, generator=generator, dtype=torch.float64)
    return PointCloud(points, colours, torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)))


def batch(name: str, sizes: tuple[int, ...] = (150, 110), seed: int = 0) -> PointBatch:
    """The same with the victim's own predictions as labels, a tenth of the points' ignored."""
    points = cloud(name, sizes, seed)
    labels = victim(name)(points).argmax(dim=1)
    if victim(name).task == "segmentation":
        labels[::10] = IGNORED
    return PointBatch(points, labels, [f"scene-{number}" for number in range(len(sizes))])


def scene(points: PointCloud, number: int) -> PointCloud:
    """One scene of a cloud."""
    rows = points.scene == number
    return PointCloud(points.points[rows], points.features[rows], torch.zeros(int(rows.sum()), dtype=torch.int64))


def only(several: PointBatch, numbers: list[int]) -> PointBatch:
    """Some scenes of a batch, in the order of `numbers`."""
    parts = [scene(several.cloud, number) for number in numbers]
    place = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part.points) for part in parts]))
    joined = PointCloud(torch.cat([p.points for p in parts]), torch.cat([p.features for p in parts]), place)
    of_points = len(several.labels) == len(several.cloud.points)
    labels = (
        torch.cat([several.labels[several.cloud.scene == number] for number in numbers])
        if of_points
        else several.labels[numbers]
    )
    return PointBatch(joined, labels, [several.ids[number] for number in numbers])


def attacked(
    attack: PointAttack,
    network: nn.Module,
    data: PointBatch,
    gradient: GradientMethod | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> AttackResult:
    """What an attack makes of a batch."""
    cloud, labels, ids = data
    return attack.attack(network, cloud, labels, gradient=gradient or FGM(), ids=ids, progress=progress, **options)


def perturbed(
    attack: PointAttack, network: nn.Module, data: PointBatch, gradient: GradientMethod | None = None
) -> Tensor:
    """The points that an attack makes of a batch."""
    return attack.perturb(network, data.cloud, data.labels, gradient=gradient or FGM(), ids=data.ids)
