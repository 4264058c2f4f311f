"""Changed voxels against Python's sets."""

import pytest
import torch

from lgm_bench.errors import ConfigError
from lgm_bench.metrics.architecture_change import voxel_counts


def voxels(seed: int, n: int = 60) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(-2, 3, (n, 4), generator=generator)
    rows[:, 0] = rows[:, 0].abs()  # scenes 0 to 2
    distinct = torch.unique(rows, dim=0)
    return distinct[torch.randperm(len(distinct), generator=generator)]


@pytest.mark.parametrize("seed", range(5))
def test_against_sets(seed: int) -> None:
    before, after = voxels(seed), voxels(seed + 100)
    counts = voxel_counts(before, after, 3)
    for scene in range(3):
        old = {tuple(row) for row in before.tolist() if row[0] == scene}
        new = {tuple(row) for row in after.tolist() if row[0] == scene}
        found = [values[scene].item() for values in counts]
        assert found == [len(old), len(old - new), len(new - old), len(old | new)]


def test_scenes_without_a_voxel_count_too() -> None:
    before = voxels(0)[:1]
    counts = voxel_counts(before, before, n_scenes=5)
    assert counts.on_before.shape == (5, 1)
    assert [values.sum().item() for values in counts] == [1, 0, 0, 1]


def test_what_is_refused() -> None:
    good = torch.tensor([[0, 1, 2, 3]])
    with pytest.raises(ConfigError, match=r"voxels after must be \(M, 4\) int64, got \(1, 3\)"):
        voxel_counts(good, good[:, 1:], 1)
    with pytest.raises(ConfigError, match="voxels before must be"):
        voxel_counts(good.double(), good, 1)
    with pytest.raises(ConfigError, match=r"voxel \[0, 1, 2, 3\] .* is listed twice"):
        voxel_counts(good.repeat(2, 1), good, 1)
