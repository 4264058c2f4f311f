from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from finished_cells import finished, image_rows
from hand_made import cell, result

from lgm_bench.cli.slope_search import ITERATIVE_SLOPES, SINGLE_STEP_SLOPES, Search, parse_numbers, search_cells, ties
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.results.tables import Column
from victims.registry import StoredSlopes


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


def tried(accuracies: dict[float | str | None, float], ties: tuple[str, ...] = ()) -> Search:
    """FGM (None), slopes and "auto" at eps 4 with the accuracy that they leave."""
    results = []
    for slope, accuracy in accuracies.items():
        kind = {"gradient": "fgm"} if slope is None else {"gradient": "lgm", "slope": slope}
        results.append(result(cell(eps=4.0, steps=1, subset="holdout", **kind), accuracy=accuracy))
    return Search(tuple(results), {4.0: ties})


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


def test_the_automatic_slope_has_a_row_after_the_grid() -> None:
    table = tried({None: 0.5, "auto": 0.3, 2.0: 0.3, 1.0: 0.4}).table()
    assert table.rows == ["FGM", "slope=1", "slope=2", "slope=auto"]
    auto = table.entry("slope=auto", table.columns[0])
    assert auto is not None
    assert auto.ours == pytest.approx(30)


def test_the_automatic_slope_is_the_best_only_where_it_is_stronger_than_all_others() -> None:
    assert tried({None: 0.5, 1.0: 0.3, "auto": 0.3}).best() == {4.0: 1.0}
    auto = tried({None: 0.5, 1.0: 0.3, 2.0: 0.4, "auto": 0.2})
    assert auto.best() == {4.0: "auto"}
    assert yaml.safe_load(auto.yaml())["slopes"] == {"fgsm": {4: "auto"}}
    assert auto.stored().slopes == {"8/255": "auto"}
    assert auto.warnings() == []


def test_a_best_slope_inside_the_grid_that_beats_fgm_has_no_warning() -> None:
    search = tried({None: 0.5, 1.0: 0.4, 2.0: 0.3, 4.0: 0.4, "auto": 0.4})
    assert search.warnings() == search.record()["warnings"] == []


@pytest.mark.parametrize(("best", "beyond"), [(1.0, "smaller"), (4.0, "larger")])
def test_a_best_slope_at_the_edge_of_the_grid_is_a_warning(best: float, beyond: str) -> None:
    search = tried({None: 0.5} | {slope: 0.2 if slope == best else 0.3 for slope in (1.0, 2.0, 4.0)})
    (warning,) = search.warnings()
    assert warning == (
        f"At eps 4 (8/255) the best slope, {best:g}, is at the edge of the slopes that were tried; "
        f"try {beyond} ones too (--slopes)."
    )
    assert search.table().notes[-1] == f"Warning: {warning}"


def test_a_single_slope_has_no_edge() -> None:
    assert tried({None: 0.5, 1.0: 0.4, "auto": 0.45}).warnings() == []


def test_ties_are_a_warning() -> None:
    (warning,) = tried({None: 0.5, 1.0: 0.4, 2.0: 0.3, 4.0: 0.31}, ties=("4", "auto")).warnings()
    assert warning == (
        "At eps 4 (8/255) slopes 4, auto cannot be told apart from the best slope, 2, on 100 images; "
        "try more of them (--limit)."
    )


def test_many_ties_are_a_range() -> None:
    (warning,) = tried({None: 0.5, 1.0: 0.4, 2.0: 0.3, 4.0: 0.31}, ties=("1", "3", "4", "5", "auto")).warnings()
    assert warning.startswith("At eps 4 (8/255) 5 slopes from 1 to auto cannot be told apart")


@pytest.mark.parametrize("fgm", [0.3, 0.25])
def test_a_baseline_that_is_at_least_as_strong_is_a_warning(fgm: float) -> None:
    (warning,) = tried({None: fgm, 1.0: 0.4, 2.0: 0.3, 4.0: 0.4}).warnings()
    assert warning == (
        f"At eps 4 (8/255) FGM is at least as strong as every slope: accuracy {fgm:.2%}, with the best slope 30.00%."
    )


def test_slopes_tie_with_the_best_where_samples_do_not_tell_them_apart(tmp_path: Path) -> None:
    """McNemar's test by hand: of 60 images slope 2 fells 40; 1 fells none, 4 all but three of them, auto the same."""
    best = np.arange(60) < 40
    fell = {"1": ~best & best, "2": best, "4": best & (np.arange(60) > 2), "auto": best}
    results = [finished(tmp_path, "fgm", image_rows(best), {"gradient": "fgm", "eps": 4.0})]
    for slope, images in fell.items():
        of = {"gradient": "lgm", "slope": slope if slope == "auto" else float(slope), "eps": 4.0}
        results.append(finished(tmp_path, slope, image_rows(images), of))
    assert ties(results, tmp_path) == {4.0: ("4", "auto")}


def test_what_is_stored_says_how_it_was_found() -> None:
    stored = tried({None: 0.5, 1.0: 0.4, 2.0: 0.3}).stored()
    assert stored == StoredSlopes(
        attack="fgsm",
        gradient="lgm",
        protocol="official",
        steps=1,
        samples="100 cifar10 holdout images",
        found=date(2026, 1, 2),
        slopes={"8/255": 2.0},
    )


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
        (eps, *kind) for eps in (1.0, 2.0) for kind in (("fgm", None), ("lgm", 1.0), ("lgm", 2.0), ("lgm", "auto"))
    ]
    assert {(one.attack.seed, one.data.subset) for one in cells} == {(3, "holdout")}


def test_the_default_range_depends_on_the_attack() -> None:
    for attack, slopes in (("fgsm", SINGLE_STEP_SLOPES), ("bim", ITERATIVE_SLOPES)):
        cells = search_cells(cell(attack=attack), [1.0], [], "fgm")
        assert [one.gradient.slope for one in cells] == [None, *slopes, "auto"]


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
