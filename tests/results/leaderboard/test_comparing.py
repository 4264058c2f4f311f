"""Numbers against numbers, without a run."""

from pathlib import Path
from typing import Any

import pytest
from hand_made import cell, result

from lgm_bench.results.leaderboard.board import Entry, Leaderboard, Measured, identity, numbers_of
from lgm_bench.results.leaderboard.comparing import compare, summary


def entry(eps: float = 1.0, checkpoint: str = "aa", **others: Any) -> Entry:
    record = result(cell(eps=eps), **others)
    return Entry(
        task="images",
        cell=identity(record.cell),
        n_samples=record.n_samples,
        checkpoint_sha256=checkpoint,
        precision=record.precision,
        data_sha256="00",
        numbers=numbers_of(record),
    )


def verdicts(expected: list[Entry], got: list[Entry]) -> list[tuple[str, ...]]:
    board = Leaderboard(suite="mine", version="0", cells=tuple(expected))
    return [one.verdicts for one in compare(board, [Measured(one, (), Path("x")) for one in got])]


@pytest.mark.parametrize(
    ("samples", "attacked", "share", "fallen"),
    [(1000, 800, 0.005, 0.005), (100, 80, 0.03, 0.0375), (20, 10, 0.15, 0.3), (2, 1, 1, 1)],
)
def test_tolerances(samples: int, attacked: int, share: float, fallen: float) -> None:
    numbers = numbers_of(result(n_attempts=samples, n_attacked=attacked))
    tolerances = {name: number.tolerance for name, number in numbers.items()}
    assert tolerances == pytest.approx(
        {"clean_accuracy": share, "accuracy": share, "success_rate": fallen, "architecture_change": 0.00625}
    )


@pytest.mark.parametrize(
    ("change", "task", "tolerance"),
    [(0.9, "images", 0.045), (0.01, "images", 0.002), (0.01, "classification", 0.1), (0.01, "segmentation", 0.1)],
)
def test_the_architecture_change_of_clouds_may_differ_most(change: float, task: str, tolerance: float) -> None:
    numbers = numbers_of(result(cell(), change=change, task=task))
    assert numbers["architecture_change"].tolerance == pytest.approx(tolerance)


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.28, "ok"), (0.22, "ok"), (0.281, "changed"), (0.219, "changed")])
def test_a_tolerance_holds_in_both_directions_and_up_to_its_end(accuracy: float, verdict: str) -> None:
    got = entry(accuracy=accuracy, success_rate=0.6875)
    assert verdicts([entry()], [got]) == [(verdict,)]


def test_a_number_that_is_gone_or_new_is_a_change() -> None:
    assert verdicts([entry()], [entry(change=None)]) == [("changed",)]
    assert verdicts([entry(change=None)], [entry()]) == [("changed",)]


def test_of_two_checkpoints_of_a_cell_each_is_compared_with_its_own() -> None:
    first, second, retrained = entry(checkpoint="aa"), entry(checkpoint="bb"), entry(checkpoint="cc")
    assert verdicts([first, second], [second, first]) == [("ok",), ("ok",)]
    assert verdicts([first, second], [second, retrained]) == [("other checkpoint",), ("ok",)]


def test_another_precision_is_told_and_never_taken_for_the_same() -> None:
    single, double = entry(), entry(precision="float64")
    assert verdicts([single], [double]) == [("other precision",)]
    assert verdicts([single], [double, single]) == [("ok",), ("extra",)]


def test_the_order_does_not_matter_and_what_is_on_one_side_is_said() -> None:
    assert verdicts([entry(1), entry(2), entry(4)], [entry(8), entry(2), entry(1)]) == [
        ("ok",),
        ("ok",),
        ("missing",),
        ("extra",),
    ]


def test_paths_and_places_are_no_part_of_a_cell() -> None:
    assert identity(cell(checkpoint="/a", paper=("table_1",), history=True)) == identity(cell(checkpoint="/b"))
    assert identity(cell(checkpoint="random")) != identity(cell())


CPU, GPU = "cpu (x86_64)", "cuda (NVIDIA H100)"


@pytest.mark.parametrize(
    ("there", "here", "reason"),
    [
        (GPU, CPU, "as is expected of different devices (cuda (NVIDIA H100) there and cpu (x86_64) here): "),
        (CPU, CPU, "perhaps because another processor"),
        (None, CPU, "perhaps because another processor"),
    ],
)
def test_the_device_explains_samples_only_where_it_is_another(there: str | None, here: str, reason: str) -> None:
    expected, got = (
        entry(eps).model_copy(update={"device": device, "samples": samples})
        for eps, device, samples in ((1, there, "+x-"), (1, here, "++-"))
    )
    same = entry(2).model_copy(update={"device": CPU, "samples": "++-"})
    board = Leaderboard(suite="mine", version="0", cells=(expected, same))
    compared = compare(board, [Measured(one, ("a", "b", "c"), Path("x")) for one in (got, same)])
    assert f"2 ok; 1 sample differs within the tolerances, {reason}" in summary(compared)
