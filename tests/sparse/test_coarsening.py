"""Occupancy on the way to coarser levels."""

import pytest
import torch
from clouds import cloud

from lgm_bench.sparse import SparseConv3d, SparseTensor
from lgm_bench.sparse.groups import soft_or
from lgm_bench.sparse.level import CoordinateLevel, coarser


@pytest.mark.parametrize(
    "values", [[0.2, 0.7, 0.5], [1.0, 0.7, 0.5], [1.0, 1.0, 0.3], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
)
def test_soft_or_and_its_gradient_also_at_exactly_0_and_1(values):
    occupancy = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    group = torch.zeros(3, dtype=torch.long)
    out = soft_or(occupancy, group, 2)
    assert out[1] == 0
    (gradient,) = torch.autograd.grad(out[0], occupancy)
    step = 1e-6
    for i in range(3):
        moved = [occupancy.detach() + sign * step * torch.eye(3, dtype=torch.float64)[i] for sign in (1, -1)]
        ends = [1 - torch.prod(1 - o) for o in moved]
        torch.testing.assert_close(gradient[i], (ends[0] - ends[1]) / (2 * step), rtol=1e-8, atol=1e-8)


def test_coarse_voxels_are_occupied_if_a_child_is():
    coordinates = cloud(n=60, seed=3)
    occupancy = torch.rand(60, dtype=torch.float64)
    level = CoordinateLevel(coordinates, occupancy=occupancy)
    coarse = coarser(level, (2, 2, 1))
    for row, voxel in enumerate(coarse.coordinates):
        inside = ((coordinates // torch.tensor([1, 2, 2, 1])) * torch.tensor([1, 2, 2, 1]) == voxel).all(dim=1)
        torch.testing.assert_close(coarse.occupancy[row], 1 - torch.prod(1 - occupancy[inside]))
    assert coarser(level, (2, 2, 1)) is coarse


def test_full_occupancy_is_the_hard_network():
    network = torch.nn.Sequential(SparseConv3d(2, 3, 3), SparseConv3d(3, 4, 2, 2), SparseConv3d(4, 2, 3)).double()
    coordinates, features = cloud(), torch.randn(40, 2, dtype=torch.float64)
    hard = network(SparseTensor(coordinates, features))
    leaded = network(SparseTensor(coordinates, features, torch.ones(40, dtype=torch.float64)))
    torch.testing.assert_close(leaded.features, hard.features)


def test_gradient_of_a_network_to_features_and_occupancy():
    torch.manual_seed(0)
    network = torch.nn.Sequential(SparseConv3d(1, 2, 3), SparseConv3d(2, 2, 2, 2), SparseConv3d(2, 1, 3)).double()
    coordinates = cloud(n=9, side=3)
    features = torch.randn(9, 1, dtype=torch.float64, requires_grad=True)
    occupancy = torch.rand(9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f, o: network(SparseTensor(coordinates, f, o)).features, (features, occupancy)
    )
