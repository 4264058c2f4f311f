"""Counted operations against counts by hand."""

import threading

import pytest
import torch
from clouds import cloud

from lgm_bench.sparse import SparseBatchNorm, SparseConv3d, SparseTensor
from lgm_bench.sparse.cost import counted_cost


def pairs(sources, targets, offsets):
    """Return the number of pairs with source = target + offset, each tried out."""
    listed = {tuple(row) for row in sources.tolist()}
    return sum(
        (b, x + i, y + j, z + k) in listed
        for b, x, y, z in targets.tolist()
        for i in offsets
        for j in offsets
        for k in offsets
    )


@pytest.mark.parametrize("leaded", [False, True])
def test_a_small_network_counted_by_hand(leaded):
    coordinates = cloud(n=60)
    network = torch.nn.Sequential(
        SparseConv3d(3, 8, 3),
        SparseBatchNorm(8),
        SparseConv3d(8, 16, 2, 2),
        SparseBatchNorm(16),
        SparseConv3d(16, 5, 1),
    )
    x = SparseTensor(coordinates, torch.randn(60, 3, requires_grad=True), torch.rand(60) if leaded else None)
    with counted_cost() as cost:
        out = network(x)
        counted = cost.operations
        out.features.sum().backward()
    coarse = out.coordinates
    same, down = pairs(coordinates, coordinates, (-1, 0, 1)), pairs(coordinates, coarse, (0, 1))
    m = len(coarse)
    expected = 2 * same * 3 * 8 + 2 * 60 * 8 + 2 * down * 8 * 16 + 2 * m * 16 + 2 * m * 16 * 5
    if leaded:
        expected += 60 * 8 + 60 * 8 + m * 16 + m * 16 + m * 5
    assert cost.operations == counted == expected
    assert cost.gflops == expected / 1e9


def test_forward_passes_add_up_and_none_is_counted_outside():
    conv, x = SparseConv3d(2, 2, 1), SparseTensor(cloud(), torch.randn(40, 2))
    with counted_cost() as cost:
        conv(x)
        with counted_cost() as inner:
            conv(x)
        conv(conv(SparseTensor(cloud(), torch.randn(40, 2))))
    conv(x)
    assert inner.operations == 2 * 40 * 4
    assert cost.operations == 3 * 2 * 40 * 4


def test_threads_count_for_themselves():
    conv, x = SparseConv3d(2, 2, 1), SparseTensor(cloud(), torch.randn(40, 2))
    with counted_cost() as cost:
        other = threading.Thread(target=conv, args=(x,))
        other.start()
        other.join()
    assert cost.operations == 0


def test_each_scene_counts_for_itself():
    parts = [cloud(n, batches=1, seed=n) for n in (60, 35, 50)]
    for number, part in enumerate(parts):
        part[:, 0] = number
    network = torch.nn.Sequential(SparseConv3d(3, 8, 3), SparseBatchNorm(8), SparseConv3d(8, 16, 2, 2))

    def counted(coordinates):
        occupancy, features = torch.rand(len(coordinates)), torch.randn(len(coordinates), 3)
        with counted_cost() as cost, torch.no_grad():
            network(SparseTensor(coordinates, features, occupancy))
        return cost

    together, alone = counted(torch.cat(parts)), [counted(part).operations for part in parts]
    assert together.of_scenes(3).tolist() == alone
    assert together.operations == sum(alone)
