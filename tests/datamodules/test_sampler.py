import pytest

from datamodules.sampler import RankStridedSampler, ShuffledSampler
from lgm_bench.errors import ConfigError


@pytest.mark.parametrize(("n", "world"), [(0, 1), (1, 4), (7, 3), (8, 2), (9, 5)])
def test_strided_shares_are_every_index_once_without_padding(n: int, world: int) -> None:
    shares = [RankStridedSampler(n, rank, world) for rank in range(world)]
    for rank, share in enumerate(shares):
        assert list(share) == list(range(n))[rank::world]
        assert len(share) == len(list(share))
    assert sorted(index for share in shares for index in share) == list(range(n))


def test_strided_shares_stay_disjoint_when_ranks_were_told_different_done() -> None:
    first, second = RankStridedSampler(9, 0, 2, done={0, 1, 4}), RankStridedSampler(9, 1, 2, done={0})
    assert list(first) == [2, 6, 8]
    assert list(second) == [1, 3, 5, 7]


def test_shuffled_shares_are_equal_disjoint_and_new_every_epoch() -> None:
    def shares(epoch: int, seed: int = 3) -> list[list[int]]:
        samplers = [ShuffledSampler(11, seed, rank, 3) for rank in range(3)]
        for sampler in samplers:
            sampler.set_epoch(epoch)
        return [list(sampler) for sampler in samplers]

    first = shares(0)
    assert [len(share) for share in first] == [3, 3, 3] == [len(ShuffledSampler(11, 0, rank, 3)) for rank in range(3)]
    assert len({index for share in first for index in share}) == 9
    assert shares(0) == first
    assert shares(1) != first
    assert shares(0, seed=4) != first
    assert sorted(ShuffledSampler(11)) == list(range(11))


@pytest.mark.parametrize(("n", "rank", "world"), [(-1, 0, 1), (5, 2, 2), (5, -1, 2), (5, 0, 0)])
@pytest.mark.parametrize("sampler", [RankStridedSampler, lambda n, rank, world: ShuffledSampler(n, 0, rank, world)])
def test_impossible_ranks_are_refused(sampler, n: int, rank: int, world: int) -> None:
    with pytest.raises(ConfigError, match=f"world={world}"):
        sampler(n, rank, world)
