"""Changed voxels against Python's sets."""

import pytest
import torch

from lgm_bench.errors import ConfigError
from lgm_bench.metrics.voxel_change import voxel_change


def voxels(seed: int, n: int = 60) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(-2, 3, (n, 4), generator=generator)
    rows[:, 0] = rows[:, 0].abs()  # scenes 0 to 2
    distinct = torch.unique(rows, dim=0)
    return distinct[torch.randperm(len(distinct), generator=generator)]


@pytest.mark.parametrize("seed", range(5))
def test_against_sets(seed: int) -> None:
    before, after = voxels(seed), voxels(seed + 100)
    change = voxel_change(before, after)
    for scene in range(3):
        old = {tuple(row) for row in before.tolist() if row[0] == scene}
        new = {tuple(row) for row in after.tolist() if row[0] == scene}
        found = [counts[scene].item() for counts in change]
        assert found == [len(old), len(new), len(new - old), len(old - new), len(old | new)]


def test_scenes_without_a_voxel_count_too() -> None:
    before = voxels(0)[:1]
    change = voxel_change(before, before, n_scenes=5)
    assert change.before.shape == (5,)
    assert [counts.sum().item() for counts in change] == [1, 1, 0, 0, 1]


def test_what_is_refused() -> None:
    good = torch.tensor([[0, 1, 2, 3]])
    with pytest.raises(ConfigError, match=r"voxels after must be \(M, 4\) int64, got \(1, 3\)"):
        voxel_change(good, good[:, 1:])
    with pytest.raises(ConfigError, match="voxels before must be"):
        voxel_change(good.double(), good)
    with pytest.raises(ConfigError, match=r"voxel \[0, 1, 2, 3\] .* is listed twice"):
        voxel_change(good.repeat(2, 1), good)
