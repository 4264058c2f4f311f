"""Shares of a suite: every cell in one of them, alike on every machine, and balanced."""

import pytest

from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import Planned, Shard, plan
from lgm_bench.evaluation.estimates.estimate import computation, estimates


@pytest.fixture(scope="module")
def paper() -> list[Planned]:
    return plan(load_bench(), ["paper"])


def test_every_cell_is_in_exactly_one_shard_in_the_suites_order(paper: list[Planned]) -> None:
    for count in (1, 2, 7):
        shards = [Shard(index, count).of(paper) for index in range(1, count + 1)]
        dealt = [one.cell for shard in shards for one in shard]
        assert len(dealt) == len(paper)
        assert set(dealt) == {one.cell for one in paper}
        places = {one.cell: number for number, one in enumerate(paper)}
        assert all([places[one.cell] for one in shard] == sorted(places[one.cell] for one in shard) for shard in shards)


def test_more_shards_than_cells_are_empty(paper: list[Planned]) -> None:
    assert [len(Shard(index, 500).of(paper)) for index in (197, 198, 500)] == [1, 0, 0]


def test_cells_that_share_a_result_share_a_shard(paper: list[Planned]) -> None:
    where: dict[object, set[int]] = {}
    for index in (1, 2, 3):
        for one in Shard(index, 3).of(paper):
            where.setdefault(computation(one.cell), set()).add(index)
    assert len(where) == 197
    assert {len(shards) for shards in where.values()} == {1}


def test_shards_cost_about_the_same(paper: list[Planned]) -> None:
    work = estimates([one.cell for one in paper])
    costs = {one.cell: estimate.total_gflops for one, estimate in zip(paper, work, strict=True)}
    loads = [sum(costs[one.cell] for one in Shard(index, 4).of(paper)) for index in (1, 2, 3, 4)]
    assert max(loads) - min(loads) <= max(costs.values())
    assert max(loads) < 1.5 * min(loads)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(ConfigError, match="expected I/N with I from 1 to N, such as 2/8"):
        Shard.parse(text)
