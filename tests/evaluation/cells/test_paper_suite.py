"""The suite `paper` against what the paper prints: cell by cell, with the released runs' options."""

from collections import Counter

import pytest
from hand_made import altered
from printed import printed_places

from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.paper import paper_tables, table_name
from lgm_bench.evaluation.cells.released import RELEASED
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.building import resolved

CELLS = {1: 24, 2: 60, 3: 25, 4: 24, 5: 12, 6: 8, 7: 32, 8: 2, 9: 2, 10: 2, 11: 28}
"""By table, counted in the paper by hand."""


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return [one.cell for one in plan(load_bench(), ["paper"])]


def test_every_printed_number_has_one_cell_and_every_cell_a_printed_number(cells: list[Cell]) -> None:
    places = Counter(cell.paper for cell in cells)
    assert set(places) == printed_places()
    assert set(places.values()) == {1}
    assert Counter(table for table, *_ in places) == {f"table_{number}": count for number, count in CELLS.items()}
    for table, row, victim, variant in places:
        printed = paper_tables()[table].columns[victim][variant]
        assert all(len(numbers) == len(paper_tables()[table].rows) for numbers in printed.values()), (table, row)


def test_places_say_what_the_cells_are(cells: list[Cell]) -> None:
    for cell in cells:
        table, row, victim, variant = cell.paper
        assert cell.victim.name == victim
        data = victim.rpartition("-")[2]
        assert cell.data.name == {"scannet": "scannet-1cm", "s3dis": "s3dis-1cm"}.get(data, data)
        if row.startswith("eps="):
            assert float(row.removeprefix("eps=")) == cell.attack.eps
        if variant.startswith(("fgm", "lgm")):
            assert variant.removesuffix("-targeted") == cell.gradient.name
        assert cell.attack.targeted == variant.endswith("-targeted")
        if table == "table_2":
            attack, share = row.split()
            assert (cell.attack.name, f"{cell.attack.valid_pixels:.0%}", cell.attack.eps) == (attack, share, 8.0)
        if table == "table_5":
            assert cell.gradient.relation == variant
        if table == "table_7":
            assert (row, variant) == (f"slope={cell.gradient.slope:g}", f"eps={cell.attack.eps:g}")


def test_protocol_checkpoints_and_samples_are_the_published_ones(cells: list[Cell]) -> None:
    for cell in cells:
        assert (cell.protocol, cell.data.subset) == ("official", "test")
        assert (cell.victim.checkpoint, cell.data.limit, cell.victim.mean, cell.victim.std) == (None, None, None, None)


def test_iterations_steps_and_slopes_are_the_released_ones(cells: list[Cell]) -> None:
    filled = {cell.paper: resolved(cell) for cell in cells}
    for place, cell in filled.items():
        if place[0] in ("table_1", "table_3"):
            assert (cell.attack.steps, cell.attack.step) == (1, cell.attack.eps)
        elif place[0] == "table_2":
            assert (cell.attack.steps, cell.attack.step) == (100, 1.0)
        elif (cell.victim.name, cell.gradient.name) in RELEASED:
            released = RELEASED[cell.victim.name, cell.gradient.name][cell.attack.eps]
            assert (cell.attack.steps, cell.attack.step, cell.attack.loss) == (
                released.steps,
                released.step,
                released.loss,
            )
            assert (cell.gradient.input_slope, cell.gradient.output_slope) == (
                released.input_slope,
                released.output_slope,
            )
            assert cell.gradient.slope == released.slope or place[0] == "table_7"
    slopes = {
        place[1:]: cell.gradient.slope
        for place, cell in filled.items()
        if cell.gradient.slope and place[0] in ("table_1", "table_2")
    }
    assert slopes["eps=8", "dynconv32-cifar10", "lgm"] == 0.0001
    assert slopes["cw 5%", "skipnet110-cifar10", "lgm-targeted"] == 30
    assert slopes["cw 5%", "dynconv32-cifar10", "lgm-targeted"] == 45


def test_tables_that_share_cells_share_their_results(cells: list[Cell]) -> None:
    plain = Counter(altered(resolved(cell), paper=None) for cell in cells)
    # All of VI and VIII-X, V's sigmoid at every eps and VII's released slope at every eps are cells of Table IV.
    assert len(cells) - len(plain) == 8 + 6 + 4 + 4


@pytest.mark.parametrize("text", ["4", "IV", "iv", "table_4", "table 4", "Table IV"])
def test_a_table_by_any_name(text: str) -> None:
    assert table_name(text) == "table_4"
    (one,) = {planned.cell.paper[0] for planned in plan(load_bench(), ["paper"], tables=[text])}
    assert one == "table_4"


def test_tables_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match=r"unknown table '12'; the paper has 1 \(I\), 2 \(II\), .* 11 \(XI\)"):
        plan(load_bench(), ["paper"], tables=["12"])
    with pytest.raises(ConfigError, match=r"suite ablation has no cell of table 4: it has Table V, VI, VII"):
        plan(load_bench(), ["ablation"], tables=["4"])
    with pytest.raises(ConfigError, match=r"no cell of table 1: it has none"):
        plan(load_bench(), ["mini"], tables=["1"])
