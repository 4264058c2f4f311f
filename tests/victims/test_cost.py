"""Layers of the networks that are no sparse convolutions count too."""

from itertools import pairwise

import torch
from tiny_clouds import scene_of, tiny_cloud

from lgm_bench import FGM, LGM
from lgm_bench.sparse import SparseTensor
from lgm_bench.sparse.cost import counted_cost
from victims import load_victim
from victims.cylinder3d import Cylinder3D
from victims.minkfcnn import MinkowskiFCNN
from victims.minkunet import MinkUNet

VOXELS = torch.cartesian_prod(torch.arange(2), *[torch.arange(3)] * 3)


def operations(network: torch.nn.Module, *inputs: object) -> int:
    with counted_cost() as cost, torch.no_grad():
        network.eval()(*inputs)
    return cost.operations


def test_last_layer_of_minkunet_counts() -> None:
    x = SparseTensor(VOXELS, torch.randn(54, 3))
    narrow, wide = (operations(MinkUNet(3, classes, (4,) * 8, (1,) * 8, 3), x) for classes in (7, 70))
    assert wide - narrow == 2 * 54 * 4 * 63


def test_linear_layers_of_the_shape_classifier_count() -> None:
    x = SparseTensor(VOXELS, torch.randn(54, 4))
    narrow, wide = (operations(MinkowskiFCNN(3, classes, 16, (4, 4, 4, 4, 4)), x) for classes in (5, 50))
    assert wide - narrow == 2 * 2 * 256 * 45
    layer = MinkowskiFCNN(3, 5, 16, (4, 4, 4, 4, 4)).mlp1
    assert operations(layer, torch.randn(7, 3)) == 2 * 7 * 3 * 4 + 2 * 7 * 4


def test_point_layers_of_cylinder3d_count() -> None:
    voxels = VOXELS
    rows = torch.arange(len(voxels)).repeat_interleave(2)
    n, m = len(rows), len(voxels)
    network = Cylinder3D(4, 2, (8, 8, 8), 32).eval()
    with counted_cost() as hard:
        network(torch.randn(n, 9), rows, voxels)
    network.cylinder_3d_spconv_seg.forward = lambda x: x
    with counted_cost() as points, torch.no_grad():
        network(torch.randn(n, 9), rows, voxels)
    with counted_cost() as leaded, torch.no_grad():
        network(torch.randn(n, 9), rows, voxels, torch.rand(m))
    widths = (9, 64, 128, 256, 32)
    linear = 2 * n * sum(a * b for a, b in pairwise(widths)) + 2 * m * 32 * 16
    assert points.operations == linear + 2 * n * sum(widths[:4])
    assert leaded.operations == points.operations + n * (sum(widths[:4]) + sum(widths[1:])) + m * 16
    assert hard.operations > points.operations


def test_each_shape_counts_for_itself() -> None:
    victim = load_victim("minknet-small-modelnet40", "random")
    cloud = tiny_cloud("minknet-small-modelnet40", (40, 70))
    for method in (FGM(), LGM(5.0)):
        with method.applied_to(victim), torch.no_grad():
            with counted_cost() as together:
                victim(cloud)
            alone = []
            for number in range(2):
                with counted_cost() as cost:
                    victim(scene_of(cloud, number))
                alone.append(cost.operations)
        assert together.of_scenes(2).tolist() == alone
