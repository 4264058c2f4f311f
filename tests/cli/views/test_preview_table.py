"""The dry run's output: a row a cell, sums a table, and the words that say what the numbers are."""

import io

from hand_made import cell, flat_cell
from rich.console import Console

from lgm_bench.cli.views.preview_table import duration, operations, preview_table
from lgm_bench.evaluation.estimates.estimate import POINTS, SMALL_IMAGES, Estimate
from lgm_bench.evaluation.estimates.preview import Preview

ONE = cell(paper=("table_1", "eps=1", "dynconv8-cifar10", "fgm"))
SCENE = flat_cell("minkunet14-scannet", "rooms-scannet", "pointbim", "lgm", 0.01, slope=10.0)
AGAIN = cell(attack="bim", targeted=True)
OWN = cell(victim="my:Net", eps=2.0)


def text() -> str:
    work = [
        Estimate(SMALL_IMAGES, 10_000, 1, 1, 0.5),
        Estimate(SMALL_IMAGES, 10_000, 9, 100, 0.5),
        Estimate(POINTS, 8, 1, 30, 1500.0),
        Estimate(SMALL_IMAGES, 10_000, 1, 1, None),
        Estimate(SMALL_IMAGES, 10_000, 1, 1, 0.5, same_as=ONE),
    ]
    cells = [ONE, AGAIN, SCENE, OWN, cell(seed=1)]
    found = Preview(cells, work, frozenset([SCENE]), {SMALL_IMAGES: 50.0, POINTS: 10.0}, "cpu")
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(preview_table(found))
    return console.export_text()


def row(start: str) -> list[str]:
    line, *_ = [line for line in text().splitlines() if line.strip().startswith(start)]
    return line.split()


def test_a_row_says_what_a_cell_costs() -> None:
    assert row("dynconv8-cifar10 fgsm eps 1 (2/255) FGM")[6:] == (
        ["ready", "10,000", "1", "0.5", "5", "TFLOP", "1.7", "min"]
    )
    assert row("dynconv8-cifar10 targeted bim")[7:] == (
        ["ready", "10,000", "x", "9", "100", "0.5", "4.5", "PFLOP", "1.0", "days"]
    )
    assert row("minkunet14-scannet")[8:] == ["missing", "8", "30", "1,500", "360", "TFLOP", "10.0", "h"]
    assert row("my:Net")[6:] == ["ready", "10,000", "1", "?", "?", "?"]


def test_a_repeated_cell_says_where_it_stands() -> None:
    assert "0   as Table I" in text()


def test_sums_are_by_table_and_over_all() -> None:
    assert row("Table I ")[2:] == ["1", "1", "5", "TFLOP", "1.7", "min"]
    assert row("cifar10  ")[1:4] == ["3", "3", "4.5"]
    assert "+ 1 ?" in " ".join(row("total"))
    assert row("total")[1:3] == ["5", "4"]


def test_it_says_that_it_is_an_estimate_and_of_what() -> None:
    words = " ".join(text().split())
    assert "Estimates: operations of a forward and a backward pass x iterations x samples" in words
    assert "Times are rough: on one device (cpu), at the rate of a short measurement just now, 50 GFLOP/s" in words


def test_units() -> None:
    assert [operations(value) for value in (0, 0.25, 12, 1e6, 3e9)] == [
        "0",
        "0.250 GFLOP",
        "12 GFLOP",
        "1 PFLOP",
        "3 EFLOP",
    ]
    assert [duration(value) for value in (0, 0.5, 59, 3600, 86_400 * 400)] == [
        "0",
        "< 1 s",
        "59 s",
        "1.0 h",
        "1.1 years",
    ]
