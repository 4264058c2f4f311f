"""Grids of points: sweeps over relation functions and slopes, steps by eps, places in the paper's tables."""

import re
from typing import Any

import pytest
from printed import printed_places

from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.cells.schema import BenchFile
from lgm_bench.evaluation.cells.suites import cells_of_flags, plan

POINTBIM = {"name": "pointbim"}


def cells(**grid: Any) -> list[Any]:
    whole = {"victims": ["minkunet34c-scannet"], "attacks": POINTBIM, "eps": [0.01], **grid}
    bench = BenchFile.model_validate({"suites": {"a": {"grids": [whole]}}})
    return [one.cell for one in plan(bench, ["a"])]


def test_relations_are_tried_one_by_one() -> None:
    found = cells(attacks=POINTBIM | {"relation": ["bilinear", "rbf", "sigmoid"]}, table="table_5", gradients="lgm")
    assert [(cell.gradient.relation, cell.paper) for cell in found] == [
        (name, ("table_5", "eps=0.01", "minkunet34c-scannet", name)) for name in ("bilinear", "rbf", "sigmoid")
    ]
    assert [cell.paper[3] for cell in cells(table="table_5")] == ["fgm", "sigmoid"]


def test_slopes_are_tried_one_by_one_and_fgm_once() -> None:
    found = cells(attacks=POINTBIM | {"slope": [5, 10]}, table="table_7", eps=[0.01, 0.02])
    assert [(cell.attack.eps, cell.gradient.name, cell.gradient.slope) for cell in found] == [
        (eps, *kind) for eps in (0.01, 0.02) for kind in (("fgm", None), ("lgm", 5.0), ("lgm", 10.0))
    ]
    places = [("table_7", row, "minkunet34c-scannet", "eps=0.01") for row in ("FGM", "slope=5", "slope=10")]
    assert [cell.paper for cell in found[:3]] == places
    (released,) = cells(gradients="lgm", table="table_7")
    assert released.paper[1] == "slope=released"


def test_a_step_for_every_eps() -> None:
    found = cells(attacks=POINTBIM | {"step": {0.01: 0.005, 0.02: 0.002}}, eps=[0.01, 0.02, 0.05], gradients="lgm")
    assert [cell.attack.step for cell in found] == [0.005, 0.002, None]
    assert [cell.attack.step for cell in cells(attacks=POINTBIM | {"step": 0.003}, gradients="lgm")] == [0.003]


def test_options_of_points_reach_the_cell() -> None:
    options = {"input_slope": 3.0, "output_slope": 4.0, "floor_slope": 5.0, "loss": "lovasz", "steps": 6}
    (cell,) = cells(attacks=POINTBIM | options, gradients="lgm")
    assert {name: cell.flat()[name] for name in options} == options


def test_a_victim_may_stand_beside_anothers_numbers() -> None:
    (cell, *_) = cells(victims=[{"name": "minkunet14-scannet", "paper": "minkunet34c-scannet"}], table="table_4")
    assert (cell.victim.name, cell.paper[2]) == ("minkunet14-scannet", "minkunet34c-scannet")
    table = paper_tables()["table_4"]
    assert table.number(*cell.paper[1:], "miou") == 55.51


def test_random_moves_are_there_once_and_have_a_column_of_their_own() -> None:
    found = cells(attacks=["random", "pointbim"], table="table_4")
    assert [(cell.attack.name, cell.gradient.name, cell.paper[3]) for cell in found] == [
        ("random", "none", "random"), ("pointbim", "fgm", "fgm"), ("pointbim", "lgm", "lgm")
    ]  # fmt: skip


def test_the_shipped_suites_have_every_place_of_the_papers_tables() -> None:
    """But for the victims that stand in for the paper's: their cells are at the paper's places."""
    bench = load_bench()
    for suite, numbers in {"points": (4, 8, 9, 10, 11), "ablation": (5, 6, 7)}.items():
        places = {one.cell.paper for one in plan(bench, [suite])}
        wanted = {place for place in printed_places() if place[0] in {f"table_{number}" for number in numbers}}
        assert wanted <= places, f"{suite} lacks {sorted(wanted - places)[:3]}"


FLAGS = {"victim": "minkunet34c-scannet", "attack": "pointbim", "eps": 0.01, "gradients": ["lgm"]}


def test_flags_make_the_cell_that_a_grid_makes() -> None:
    assert [one.cell for one in cells_of_flags(FLAGS)] == cells(gradients="lgm")
    options = {"relation": "rbf", "slope": 7.0, "input_slope": 1.0, "output_slope": 2.0, "floor_slope": 3.0}
    (planned,) = cells_of_flags(FLAGS | options | {"step": 0.004, "loss": "lovasz"})
    cell = planned.cell
    assert {name: cell.flat()[name] for name in options} == options
    assert (cell.attack.step, cell.attack.loss) == (0.004, "lovasz")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"eps": -0.01}, "--eps: expected greater than or equal to 0, got -0.01"),
        ({"input_slope": 0.0}, "--input-slope: expected greater than 0, got 0.0"),
        ({"output_slope": -1.0}, "--output-slope: expected greater than 0, got -1.0"),
        ({"floor_slope": float("nan")}, "--floor-slope: expected"),
        ({"loss": "lovas"}, "--loss: expected 'cross_entropy', 'lovasz', 'margin'"),
        ({"step": -1.0}, "--step: expected greater than 0, got -1.0"),
    ],
)
def test_a_flag_that_makes_no_sense_is_named(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        cells_of_flags(FLAGS | flags)
    assert "\n" not in str(caught.value)
