import pytest
import yaml
from hand_made import cell, result

from lgm_bench.cli.slope_search import ITERATIVE_SLOPES, SINGLE_STEP_SLOPES, Search, parse_numbers, search_cells
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.results.tables import Column


def found(targeted: bool = False, **changes: object) -> Search:
    """Two eps with FGM and slopes 1, 2, 4; slope 2 is the strongest at eps 1, and 2 and 4 are equal at eps 8."""
    accuracies = {1.0: {None: 0.5, 1.0: 0.4, 2.0: 0.3, 4.0: 0.35}, 8.0: {None: 0.2, 1.0: 0.4, 2.0: 0.1, 4.0: 0.1}}
    results: list[CellResult] = []
    for eps, by_slope in accuracies.items():
        for slope, accuracy in reversed(by_slope.items()):
            kind = {"gradient": "fgm"} if slope is None else {"gradient": "lgm", "slope": slope}
            one = cell(eps=eps, targeted=targeted, subset="holdout", **kind, **changes)
            # Targeted, an attack may leave little accuracy and yet arrive nowhere: the order is turned round.
            results.append(result(one, accuracy=accuracy, success_rate=accuracy if targeted else 1 - accuracy))
    return Search(tuple(results))


def test_the_best_slope_leaves_the_least_accuracy_and_of_equals_the_smallest_wins() -> None:
    assert found().best() == {1.0: 2.0, 8.0: 2.0}


def test_targeted_attacks_are_judged_by_success() -> None:
    assert found(targeted=True).best() == {1.0: 1.0, 8.0: 1.0}


def test_the_table_is_one_row_a_slope() -> None:
    table = found().table()
    assert table.rows == ["FGM", "slope=1", "slope=2", "slope=4"]
    assert [column.variant for column in table.columns] == ["eps=1", "eps=8"]
    best = [(row, column.variant) for (row, column), entry in table.entries.items() if entry.best]
    assert sorted(best) == [("slope=2", "eps=1"), ("slope=2", "eps=8")]
    fgm = table.entry("FGM", Column("dynconv8-cifar10", "eps=8", "Acc."))
    assert fgm is not None
    assert fgm.ours == pytest.approx(20)


def test_the_yaml_line_gives_the_best_slopes_to_a_grid() -> None:
    victim = yaml.safe_load(found(checkpoint="/tmp/my.pth").yaml())
    assert victim["checkpoint"] == "/tmp/my.pth"
    bench = load_bench(
        None, [f"suites.cifar10.grids.0.victims=[{found().yaml()}]", "suites.cifar10.grids.0.eps=[1, 8]"]
    )
    cells = [one.cell for one in plan(bench, ["cifar10"]) if one.cell.victim.name == "dynconv8-cifar10"]
    assert [(one.attack.eps, one.gradient.slope) for one in cells if one.gradient.slope] == [(1.0, 2.0), (8.0, 2.0)]


def test_the_record_has_every_score() -> None:
    record = found().record()
    assert len(record["scores"]) == 8
    assert record["best"] == [{"eps": 1.0, "slope": 2.0}, {"eps": 8.0, "slope": 2.0}]
    assert (record["subset"], record["n_samples"], record["victim"]) == ("holdout", 100, "dynconv8-cifar10")


def test_searches_of_one_folder_have_names_of_their_own() -> None:
    names = {found().name, found(targeted=True).name, found(attack="bim").name, found(valid_pixels=0.05).name}
    assert len(names) == 4
    assert "search-dynconv8-cifar10-fgsm" in names


def test_the_cells_are_fgm_and_every_slope_at_every_eps() -> None:
    cells = search_cells(cell(seed=3, subset="holdout", gradient="lgm"), [1.0, 2.0], [2.0, 1.0, 2.0], "fgm")
    assert [(one.attack.eps, one.gradient.name, one.gradient.slope) for one in cells] == [
        (eps, *kind) for eps in (1.0, 2.0) for kind in (("fgm", None), ("lgm", 1.0), ("lgm", 2.0))
    ]
    assert {(one.attack.seed, one.data.subset) for one in cells} == {(3, "holdout")}


def test_the_default_range_depends_on_the_attack() -> None:
    assert [one.gradient.slope for one in search_cells(cell(), [1.0], [], "fgm")][1:] == list(SINGLE_STEP_SLOPES)
    assert [one.gradient.slope for one in search_cells(cell(attack="bim"), [1.0], [], "fgm")][1:] == list(
        ITERATIVE_SLOPES
    )


def test_numbers() -> None:
    assert parse_numbers("5:40:5", "--slopes") == [5, 10, 15, 20, 25, 30, 35, 40]
    assert parse_numbers("0.1:0.3:0.1", "--slopes") == [0.1, 0.2, 0.3]
    assert parse_numbers(" 1, 2", "--eps") == [1.0, 2.0]


@pytest.mark.parametrize("text", ["", "1,,2", "a", "1:2", "2:1:1", "1:2:0", "1:2:-1", "nan", "1:inf:1", "0:1:1e-9"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ConfigError, match="--slopes"):
        parse_numbers(text, "--slopes")


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_slopes_are_positive(slope: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        search_cells(cell(), [1.0], [slope], "fgm")
