"""Time left: against runs whose times are made up, and against the recorded times of a real run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hand_made import altered, flat_cell

from lgm_bench.cli.run import planned_cells
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.estimates.time_left import TimeLeft

RECORDED = Path(__file__).with_name("mini_times.json")
"""Seconds, seconds without the start, and samples of each cell of the suite `mini`, on a CPU."""
START = 0.5
IMAGES = flat_cell("dynconv8-mini", "digits", "fgsm", "fgm", 4.0, steps=1)
ARMS = [altered(IMAGES, attack="bim", steps=10, eps=eps, gradient=arm) for eps in (2.0, 4.0) for arm in ("fgm", "lgm")]
SHAPE = flat_cell("minknet-modelnet40-mini", "modelnet40-mini", "pointbim", "fgm", 0.02, steps=10, limit=20)
SHAPES = [altered(SHAPE, eps=eps, gradient=arm) for eps in (0.02, 0.1) for arm in ("fgm", "lgm")]


def ratios(cells: list[Cell], times: list[tuple[float, float, int]]) -> dict[float, float]:
    """The estimate over the true time left, by the share of the run that is done, after each cell but the last."""
    total, now, left, found = sum(seconds for seconds, _, _ in times), 0.0, TimeLeft(cells), {}
    for number, (seconds, computing, samples) in enumerate(times[:-1]):
        left.begun(number, samples)
        left.finished(number, 1.0, seconds, computing)
        now += seconds
        found[now / total] = left.seconds(number + 1) / (total - now)
    return found


def made_up(cells: list[Cell], cost: Callable[[Cell], float]) -> list[tuple[float, float, int]]:
    """Times of cells of 500 images or 20 shapes, of which a step costs so many seconds."""
    work = [cost(cell) * (cell.attack.steps or 1) for cell in cells]
    sizes = [20 if cell.data.name == SHAPE.data.name else 500 for cell in cells]
    return [(START + seconds, seconds, size) for seconds, size in zip(work, sizes, strict=True)]


@pytest.mark.parametrize(
    ("cells", "cost"),
    [
        ([IMAGES, *ARMS], lambda _: 1.0),
        ([IMAGES, *ARMS], lambda cell: 1.4 if cell.gradient.name == "lgm" else 1.0),
        (SHAPES, lambda cell: 1.7 if cell.gradient.name == "lgm" else 1.0),
        ([*ARMS, *SHAPES], lambda cell: 0.4 if cell.attack.name == "bim" else 0.2),
        ([*SHAPES, *ARMS], lambda cell: 0.4 if cell.attack.name == "bim" else 0.2),
    ],
    ids=["steps", "leaded images", "leaded shapes", "images first", "shapes first"],
)
def test_from_a_third_on_the_estimate_is_near(cells: list[Cell], cost: Callable[[Cell], float]) -> None:
    found = ratios(cells, made_up(cells, cost))
    late = [ratio for share, ratio in found.items() if share >= 1 / 3]
    assert len(late) >= 2
    assert all(1 / 1.5 < ratio < 1.5 for ratio in late), found


def test_of_a_recorded_run_too() -> None:
    cells = [one.cell for one in planned_cells(None, ["mini"], full=False, victims=None, overrides=None)[1]]
    times = [tuple(row) for row in json.loads(RECORDED.read_text())]
    assert len(times) == len(cells), "record the times again when the suite changes"
    found = ratios(cells, times)
    late = {share: ratio for share, ratio in found.items() if 1 / 3 <= share < 0.95}
    assert all(1 / 1.5 < ratio < 1.5 for ratio in late.values()), late


def test_a_running_cell_counts_by_what_it_has_done() -> None:
    left = TimeLeft(ARMS)
    assert left.seconds(0) is None, "nothing was measured"
    left.begun(0, 500)
    assert left.seconds(0, share=0.25, elapsed=10.0) == pytest.approx(30 + 3 * 40)
    left.finished(0, 1.0, 41.0, 40.0)
    assert left.seconds(1) == pytest.approx(3 * 41)
    as_before, slower = (left.seconds(1, share=0.5, elapsed=elapsed) for elapsed in (20.0, 40.0))
    assert slower > as_before + 10
    left.finished(1, 1.0, 81.0, 80.0)
    assert left.seconds(4) == 0


def test_equal_cells_of_two_tables_take_no_time() -> None:
    left = TimeLeft([ARMS[0].replace(paper=("table_1", "eps=1", "x", "fgm")), ARMS[0], ARMS[2]])
    left.begun(0, 500)
    left.finished(0, 1.0, 10.0, 10.0)
    assert left.seconds(1) == pytest.approx(10)
