"""Small point clouds for every point victim."""

import torch

from lgm_bench.voxels import PointCloud

EXTENTS = {"scannet": (0.6, 0.6, 0.6), "s3dis": (1.5, 1.5, 1.5), "semantickitti": (20.0, 20.0, 2.0)}
FEATURES = {"scannet": 3, "s3dis": 3, "semantickitti": 1, "modelnet40": 0}


def tiny_cloud(victim: str, sizes: tuple[int, ...], seed: int = 0) -> PointCloud:
    """Return random scenes of some numbers of points, as large as the victim expects them."""
    data = victim.rpartition("-")[2]
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor(EXTENTS.get(data, (1.0, 1.0, 1.0)))
    points = (2 * torch.rand(sum(sizes), 3, generator=generator) - 1) * extent
    if data == "modelnet40":
        points = points / points.norm(dim=1, keepdim=True)
    scene = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    features = torch.rand(sum(sizes), FEATURES[data], generator=generator)
    dtype = torch.get_default_dtype()
    return PointCloud(points.to(dtype), features.to(dtype), scene)


def scene_of(cloud: PointCloud, number: int) -> PointCloud:
    """Return one scene of a cloud, alone."""
    chosen = cloud.scene == number
    return PointCloud(cloud.points[chosen], cloud.features[chosen], torch.zeros_like(cloud.scene[chosen]))
