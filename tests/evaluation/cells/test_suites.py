import re
from pathlib import Path
from typing import Any

import pytest

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.cells.schema import BenchFile
from lgm_bench.evaluation.cells.suites import cells_of_flags, data_of, plan
from lgm_bench.evaluation.engine.building import resolved


def bench(**grid: Any) -> BenchFile:
    whole = {"victims": ["dynconv8-cifar10"], "attacks": ["fgsm"], "eps": [1], **grid}
    return BenchFile.model_validate({"defaults": {"protocol": "official"}, "suites": {"a": {"grids": [whole]}}})


def test_table_1_has_every_cell_that_the_paper_prints() -> None:
    table = paper_tables()["table_1"]
    printed = {
        ("table_1", row, victim, variant)
        for victim, variants in table.columns.items()
        for variant in variants
        for row in table.rows
    }
    planned = plan(load_bench(), ["cifar10"])
    assert printed <= {one.cell.paper for one in planned}
    assert len(planned) == len({one.cell.paper for one in planned}), "no place of the table is taken twice"


def test_table_2_has_every_cell_that_the_paper_prints() -> None:
    table = paper_tables()["table_2"]
    places = {one.cell.paper for one in plan(load_bench(), ["cifar10"], full=True)}
    for victim, variants in table.columns.items():
        for variant, row in ((variant, row) for variant in variants for row in table.rows):
            assert ("table_2", row, victim, variant) in places


def test_order_and_slopes_are_the_released_ones() -> None:
    cells = [resolved(one.cell) for one in plan(bench(eps=[1, 2, 4, 8]), ["a"])]
    assert [(c.attack.eps, c.gradient.name, c.gradient.slope) for c in cells[:4]] == [
        (1.0, "fgm", None),
        (1.0, "lgm", 0.5),
        (2.0, "fgm", None),
        (2.0, "lgm", 0.2),
    ]


def test_a_victims_own_slopes_come_first() -> None:
    own = {"name": "dynconv8-cifar10", "slopes": {"fgsm": {1: 7}, "bim": 3}}
    cells = plan(bench(victims=[own], attacks=["fgsm", "bim"], eps=[1, 2], gradients="lgm"), ["a"])
    assert [resolved(one.cell).gradient.slope for one in cells] == [7, 0.2, 3, 3]


def test_a_grid_says_otherwise_than_the_defaults() -> None:
    file = bench(protocol="official", seed=4).model_dump(exclude_unset=True)
    file |= {"defaults": {"seed": 1, "limit": 9, "gradients": ["soft", "fgm"]}}
    (first, *_) = plan(BenchFile.model_validate(file), ["a"])
    assert first.cell.data.limit == 9
    (grid,) = file["suites"]["a"]["grids"]
    whole = file | {"suites": {"a": {"grids": [grid | {"limit": None}]}}}
    assert plan(BenchFile.model_validate(whole), ["a"])[0].cell.data.limit is None
    assert (first.cell.protocol, first.cell.attack.seed, first.cell.gradient.name) == ("official", 4, "soft")
    assert first.cell.baseline == "soft"


def test_static_victims_have_no_leaded_gradient() -> None:
    assert [one.cell.gradient.name for one in plan(bench(victims=["resnet20-cifar10"]), ["a"])] == ["fgm"]


def test_a_cell_of_two_suites_runs_once_and_is_required_if_it_is_anywhere() -> None:
    grid = {"attacks": ["fgsm"], "eps": [1], "gradients": "fgm"}
    optional = {"grids": [grid | {"if_available": ["dynconv8-cifar10"]}]}
    required = {"grids": [grid | {"victims": ["dynconv8-cifar10"]}]}
    file = BenchFile.model_validate({"suites": {"a": optional, "b": required}})
    assert [one.optional for one in plan(file, ["a"])] == [True]
    assert [one.optional for one in plan(file, ["a", "b"])] == [False]
    assert [one.optional for one in plan(file, ["b", "a"])] == [False]


def test_a_cell_that_is_to_keep_its_history_anywhere_keeps_it() -> None:
    plain = {"victims": "dynconv8-cifar10", "attacks": "bim", "eps": "8/255"}
    for grids in ([plain, plain | {"history": True}], [plain | {"history": True}, plain]):
        planned = plan(BenchFile.model_validate({"suites": {"a": {"grids": grids}}}), ["a"])
        assert [one.cell.history for one in planned] == [True, True], "FGM and LGM"


def test_the_asked_victims_are_required() -> None:
    planned = plan(load_bench(), ["cifar10"], victims=["resnet32-cifar10"])
    assert {(one.cell.victim.name, one.optional) for one in planned} == {("resnet32-cifar10", False)}


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"victims": ["dynconv9-cifar10"]}, "unknown victim 'dynconv9-cifar10'; did you mean dynconv"),
        ({"attacks": ["fgms"]}, "unknown attack 'fgms'; did you mean fgsm?"),
        ({"table": "table_0"}, "unknown table 'table_0'; did you mean table_"),
        ({"victims": []}, "a grid needs victims"),
        ({"victims": ["own.package:Net"]}, "says no data set; name one"),
    ],
)
def test_a_grid_that_makes_no_sense(grid: dict[str, Any], message: str) -> None:
    with pytest.raises((UnknownNameError, ConfigError), match=re.escape(message)):
        plan(bench(**grid), ["a"])


def test_unknown_suite_and_victim() -> None:
    with pytest.raises(UnknownNameError, match="unknown suite 'cifar'; did you mean cifar10"):
        plan(load_bench(), ["cifar"])
    with pytest.raises(UnknownNameError, match="unknown victim of this suite 'dynconv8-cifar10'"):
        plan(load_bench(), ["cifar10"], victims=["dynconv8-cifar10"])


def test_a_victim_of_ones_own() -> None:
    own = {"name": "own.package:Net", "slopes": {"fgsm": 1}, "kwargs": {"width": 3}}
    cells = [one.cell for one in plan(bench(victims=[own], data="cifar10"), ["a"])]
    assert [(c.victim.name, c.data.name, c.gradient.slope) for c in cells] == [
        ("own.package:Net", "cifar10", None),
        ("own.package:Net", "cifar10", 1),
    ]
    assert {c.victim.kwargs for c in cells} == {(("width", 3),)}


def test_gradients_are_arms_beside_a_baseline() -> None:
    arms = ["soft", "fgm", "tiny_gradients:Mine"]
    own = {"name": "dynconv8-cifar10", "slopes": {"fgsm": 3}}
    planned = plan(bench(victims=[own], gradients=arms), ["a"])
    assert [(one.cell.gradient.name, one.cell.gradient.slope) for one in planned] == [
        ("soft", 3), ("fgm", None), ("tiny_gradients:Mine", 3)
    ]  # fmt: skip
    assert {one.cell.baseline for one in planned} == {"soft"}
    assert {one.cell.baseline for one in plan(bench(gradients=arms, baseline="fgm"), ["a"])} == {"fgm"}
    assert {one.cell.baseline for one in plan(bench(gradients="lgm"), ["a"])} == {None}


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"gradients": ["fgm", "lmg"]}, "unknown gradient 'lmg'; did you mean lgm?"),
        ({"gradients": ["fgm", "lgm"], "baseline": "soft"}, "baseline 'soft' is not among the gradients fgm, lgm"),
        ({"gradients": ["fgm", "lgm"], "baseline": "fmg"}, "unknown gradient 'fmg'"),
    ],
)
def test_a_gradient_that_makes_no_sense_is_named(grid: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=re.escape(message)):
        plan(bench(**grid), ["a"])


FLAGS = {"victim": "dynconv8-cifar10", "attack": "fgsm", "eps": 1.0, "gradients": ["lgm"]}


def single_cell(flags: dict[str, Any]) -> Cell:
    (planned,) = cells_of_flags(flags)
    return planned.cell


def test_flags_make_the_cell_that_a_grid_makes() -> None:
    assert single_cell(FLAGS | {"protocol": "official"}) == plan(bench(gradients="lgm"), ["a"])[0].cell
    own = single_cell(FLAGS | {"slope": 3.0, "steps": None, "mean": [0.5, 0.5, 0.5], "limit": 10, "targeted": True})
    assert (own.gradient.slope, own.victim.mean, own.data.limit, own.attack.targeted) == (
        3.0,
        (0.5, 0.5, 0.5),
        10,
        True,
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"eps": -1.0}, "--eps: expected greater than or equal to 0, got -1.0"),
        ({"eps": float("nan")}, "--eps: expected"),
        ({"slope": 0.0}, "--slope: expected greater than 0, got 0.0"),
        ({"protocol": "offical"}, "--protocol: expected 'standard' or 'official', got 'offical'"),
        ({"gradients": ["lmg"]}, "unknown gradient 'lmg'; did you mean lgm?"),
        ({"gradients": ["fgm"], "slope": "2"}, "--slope 2 is for gradients that soften occupancies"),
        ({"steps": 0}, "--steps: expected greater than or equal to 1, got 0"),
        ({"valid_pixels": 1.5}, "--valid-pixels: expected less than or equal to 1, got 1.5"),
        ({"subset": "tset"}, "--subset: expected"),
        ({"victim": "resnet20-cifar10"}, "resnet20-cifar10 is not adaptive, so it has no gradient lgm"),
        ({"victim": "resnet20-cifar10", "gradients": ["fgm", "soft"]}, "so it has no gradient soft"),
    ],
)
def test_a_flag_that_makes_no_sense_is_named(flags: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=re.escape(message)) as caught:
        single_cell(FLAGS | flags)
    assert "\n" not in str(caught.value)


def test_the_data_set_is_in_a_victims_name() -> None:
    assert data_of("dynconv101-imagenet") == "imagenet"


def test_the_shipped_examples_in_the_file_are_right() -> None:
    text = Path("bench.yaml").read_text() if Path("bench.yaml").exists() else ""
    for example in re.findall(r"#   - (\{name: .*\})", text):
        load_bench(None, [f"suites.cifar10.grids.0.victims=[{example}]"])
