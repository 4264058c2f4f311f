"""Keys of voxels: sorting and distinct ones, compiled against plain PyTorch."""

import pytest
import torch
from clouds import cloud, plain_pytorch

from lgm_bench.sparse import compiled
from lgm_bench.sparse.level import KeySpace, sorted_keys, unique_keys, unique_voxels


@pytest.mark.parametrize("largest", [1, 100, 2**20, 2**61])
@pytest.mark.parametrize("ready", [True, False])
def test_compiled_sorting_is_that_of_plain_pytorch(largest, ready):
    if compiled.library() is None:
        pytest.skip("no C++ compiler: compiled sorting is not available")
    values = torch.randint(largest, (3000,), generator=torch.Generator().manual_seed(0))
    values = values.sort().values if ready else values
    mine = (*sorted_keys(values), *unique_keys(values))
    with plain_pytorch():
        plain = (*sorted_keys(values), *unique_keys(values))
    for one, other in zip(mine, plain, strict=True):
        assert torch.equal(one, other)


def test_distinct_voxels_are_those_of_rows_compared_whole():
    voxels = cloud(n=60)[torch.randint(60, (500,))]
    distinct, row = unique_voxels(voxels)
    assert torch.equal(distinct, torch.unique(voxels, dim=0))
    assert torch.equal(distinct[row], voxels)


def test_keys_are_ordered_as_voxels_and_shift_with_them():
    voxels = torch.unique(cloud(n=60), dim=0)
    space = KeySpace(voxels.amin(dim=0) - 3, voxels.amax(dim=0) + 3)
    assert (space.keys(voxels).diff() > 0).all()
    moved = voxels + torch.tensor([0, 1, -2, 3])
    assert torch.equal(space.keys(moved), space.keys(voxels) + space.shift((1, -2, 3)))
