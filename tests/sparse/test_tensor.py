"""What a sparse tensor refuses."""

import pytest
import torch
from clouds import cloud

from lgm_bench.errors import DataError
from lgm_bench.sparse import SparseTensor, joined
from lgm_bench.sparse.layers import global_average_pool


@pytest.mark.parametrize(
    ("coordinates", "features", "message"),
    [
        (cloud()[:, :3], torch.ones(40, 2), r"\(N, 4\) int64"),
        (cloud().float(), torch.ones(40, 2), "torch.float32"),
        (cloud(), torch.ones(39, 2), r"features must be \(40"),
        (cloud(), torch.ones(40, 2, dtype=torch.int64), "floating"),
        (cloud()[:0], torch.ones(0, 2), "at least one voxel"),
        (cloud()[[0, 1, 0]], torch.ones(3, 2), "listed twice"),
        (torch.tensor([[0, 0, 0, 0], [0, 2**21, 2**21, 2**21]]), torch.ones(2, 1), "remove outliers"),
        (torch.tensor([[0, -(2**62), 0, 0], [0, 2**62, 0, 0]]), torch.ones(2, 1), "remove outliers"),
    ],
)
def test_errors_name_the_value(coordinates, features, message):
    with pytest.raises(DataError, match=message):
        SparseTensor(coordinates, features)


def test_occupancy_must_be_one_number_a_voxel():
    with pytest.raises(DataError, match=r"occupancy must be \(40,\)"):
        SparseTensor(cloud(), torch.ones(40, 2), torch.ones(3))


def test_pooling_weighs_voxels_by_occupancy():
    coordinates, features = cloud(batches=3), torch.randn(40, 2)
    occupancy = torch.rand(40)
    pooled = global_average_pool(SparseTensor(coordinates, features, occupancy))
    for batch in range(3):
        inside = coordinates[:, 0] == batch
        expected = (features * occupancy[:, None])[inside].sum(0) / occupancy[inside].sum()
        torch.testing.assert_close(pooled[batch], expected)


def test_joined_needs_one_level():
    x = SparseTensor(cloud(), torch.ones(40, 2))
    assert joined(x, x).features.shape == (40, 4)
    with pytest.raises(Exception, match="one level"):
        joined(x, SparseTensor(cloud(), torch.ones(40, 2)))
