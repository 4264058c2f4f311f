"""The search over slopes on point clouds: scenes are judged by their mIoU, shapes by their accuracy."""

from typing import Any

import pytest
from hand_made import cell, scenes

from lgm_bench.cli.slope_search import POINT_SLOPES, Search, search_cells
from lgm_bench.results.tables import Column

VICTIM = "minkunet14-scannet"


def found(miou: dict[float | None, float], **changes: Any) -> Search:
    """Slopes with the mIoU that they leave; what accuracy they leave is the other way round."""
    results = []
    for slope, left in miou.items():
        kind = {"gradient": "fgm"} if slope is None else {"gradient": "lgm", "slope": slope}
        of = cell(victim=VICTIM, data="scannet", attack="pointbim", eps=0.01, subset="holdout", **kind, **changes)
        results.append(scenes(of, left, clean_miou=0.9, point_accuracy=1 - left))
    return Search(tuple(results))


def test_the_best_slope_leaves_the_lowest_miou() -> None:
    search = found({None: 0.4, 5.0: 0.3, 10.0: 0.2, 20.0: 0.2, 40.0: 0.5})
    assert search.best() == {0.01: 10.0}
    table = search.table()
    assert table.rows == ["FGM", "slope=5", "slope=10", "slope=20", "slope=40"]
    entry = table.entry("slope=10", Column(VICTIM, "eps=0.01", "mIoU"))
    assert entry is not None
    assert (entry.ours, entry.best) == (pytest.approx(20), True)
    assert table.notes[0] == "In percent: mIoU, lower is stronger. The best slope of each eps is marked."
    assert "100 scannet holdout scenes, " in table.notes[1]
    assert search.stored().slopes == {"0.01": 10.0}
    assert [score["miou"] for score in search.record()["scores"]] == [0.4, 0.3, 0.2, 0.2, 0.5]


def test_the_default_slopes_are_those_of_table_7() -> None:
    base = cell(victim=VICTIM, data="scannet", attack="pointbim", eps=0.01)
    assert [one.gradient.slope for one in search_cells(base, [0.01], [], "fgm")] == [None, *POINT_SLOPES, "auto"]
    assert list(POINT_SLOPES) == list(range(5, 45, 5))
