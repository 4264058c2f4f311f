"""Rows added up: whatever pieces they come in, the figures are numpy's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from finished_cells import image_rows
from hand_made import ONE, cell

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.files import About, UnusableError, encode, read_part
from lgm_bench.evaluation.store.rows import Outcome, merged
from lgm_bench.evaluation.store.tally import Tally, figures_of, total
from lgm_bench.metrics.architecture_change import ChangeCounts
from lgm_bench.tasks.base import task_of
from lgm_bench.tasks.images import ImageClassification
from lgm_bench.tasks.point_clouds import SceneSegmentation

C = 4
NAMES = ["a", "b", "c", "d"]
RANDOM = np.random.default_rng(0)
MATRICES = RANDOM.integers(0, 50, (2, 7, C, C))
MATRICES[:, :, 3] = MATRICES[:, :, :, 3] = 0  # a class that never occurs
IDS = [f"scene{number}" for number in range(7)]


def outcome(numbers: list[int], ignored: tuple[int, ...] = (0,)) -> Outcome:
    """Rows of some of the scenes, with voxels and costs that tell them apart."""
    n = len(numbers)
    column = torch.tensor(numbers)[:, None] + 1
    zeros, yes = torch.zeros(n), torch.ones(n, dtype=torch.bool)
    return Outcome(
        ids=[IDS[number] for number in numbers],
        target=None,
        perturbed=yes,
        attacked=yes,
        verdict={
            "n_points": torch.tensor([MATRICES[0, number].sum() for number in numbers]),
            "clean_confusion": torch.from_numpy(MATRICES[0, numbers]),
            "confusion": torch.from_numpy(MATRICES[1, numbers]),
            "ignored_classes": list(ignored),
            "clean_miou": zeros.double(),
            "miou": zeros.double(),
        },
        distance=zeros,
        within_bounds=torch.tensor([number != 3 for number in numbers]),
        clean_loss=zeros,
        adversarial_loss=zeros,
        counts=ChangeCounts(100 * column, 3 * column, 5 * column, 105 * column),
        effort={"iterate": [1] * n, "voxels": [1e3 / (k + 1) for k in numbers], "gflops": [0.1 * k for k in numbers]},
        followed={"history": [[0.0]] * n},
    )


def table(*numbers: int) -> pa.Table:
    return outcome(list(numbers)).table(SceneSegmentation)


def expected_ious(matrix: np.ndarray, ignored: tuple[int, ...]) -> list[float | None]:
    ious: list[float | None] = []
    matrix = matrix.copy()
    matrix[list(ignored)] = 0
    for k in range(C):
        union = matrix[k].sum() + matrix[:, k].sum() - matrix[k, k]
        ious.append(None if k in ignored or not union else matrix[k, k] / union)
    return ious


@pytest.mark.parametrize("ignored", [(), (0,), (0, 2)])
def test_the_figures_are_those_of_the_summed_matrices(ignored: tuple[int, ...]) -> None:
    found = figures_of(outcome(list(range(7)), ignored).table(SceneSegmentation), ONE, NAMES)
    record, metrics = found["classes"], found["metrics"]
    for matrix, ious, miou, confusion in (
        (MATRICES[0].sum(0), record.clean_iou, metrics["clean_miou"], record.clean_confusion),
        (MATRICES[1].sum(0), record.iou, metrics["miou"], record.confusion),
    ):
        assert np.array_equal(confusion, matrix)
        wanted = expected_ious(matrix, ignored)
        assert list(ious) == [None if iou is None else pytest.approx(iou, abs=1e-15) for iou in wanted]
        assert miou == pytest.approx(np.mean([iou for iou in wanted if iou is not None]), abs=1e-15)
    assert metrics["point_accuracy"] == np.trace(MATRICES[1].sum(0)) / MATRICES[1].sum()
    assert (found["task"], found["n_attempts"], found["n_attacked"], record.names) == (
        "segmentation",
        7,
        7,
        tuple(NAMES),
    )


def test_the_mean_of_scenes_is_not_the_mean_over_scenes() -> None:
    """The figure is of the summed matrix: scenes with more points weigh more."""
    of_scenes = [np.mean([iou for iou in expected_ious(matrix, (0,)) if iou is not None]) for matrix in MATRICES[1]]
    assert abs(Tally.of(table(*range(7))).figures()["miou"] - np.mean(of_scenes)) > 1e-4


def test_voxels_are_the_architecture() -> None:
    found = figures_of(table(0, 4), ONE)
    assert found["metrics"]["architecture_change"] == pytest.approx(8 / 105)
    assert found["metrics"]["executed_clean"] == pytest.approx(100 / 105)
    assert found["metrics"]["executed"] == pytest.approx(102 / 105)
    units = found["units"]
    assert (units.on_to_off, units.off_to_on) == (pytest.approx(3 / 105), pytest.approx(5 / 105))
    assert (units.per_unit, units.n_samples) == ((pytest.approx(8 / 105),), 2)


def decided(n: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Rows of images with three units, two thirds of them perturbed, and the counts that they are of."""
    counts = RANDOM.integers(0, 4, (3, n, 3))
    positions, perturbed = np.array([4, 1, 9]), np.arange(n) % 3 > 0
    rows = image_rows([False] * n, attacked=perturbed.tolist())
    table = Outcome(
        ids=rows.column("id").to_pylist(),
        target=None,
        perturbed=torch.from_numpy(perturbed),
        attacked=torch.from_numpy(perturbed),
        verdict={name: torch.zeros(n, dtype=torch.int64) for name in ImageClassification.schema().names},
        distance=torch.zeros(n),
        within_bounds=torch.ones(n, dtype=torch.bool),
        clean_loss=torch.zeros(n),
        adversarial_loss=torch.zeros(n),
        counts=ChangeCounts(*map(torch.from_numpy, (*counts, np.tile(positions, (n, 1))))),
    )
    return (
        replace(table, verdict={k: v for k, v in table.verdict.items() if k in OWN}).table(ImageClassification),
        counts,
        positions,
    )


OWN = {field.name for field in ImageClassification.columns}


def test_the_architecture_change_is_that_of_the_perturbed() -> None:
    """Every decision weighs the same, so a unit with more positions weighs more."""
    rows, (before, off, on), positions = decided(10)
    perturbed = [k for k in range(10) if k % 3]
    found = figures_of(rows, ONE)
    everything = positions.sum() * len(perturbed)
    changed = (off + on)[perturbed].sum(0)
    assert found["metrics"]["architecture_change"] == pytest.approx(changed.sum() / everything)
    assert found["metrics"]["executed_clean"] == pytest.approx(before.sum() / (positions.sum() * 10))
    assert found["metrics"]["executed"] == pytest.approx((before - off + on)[perturbed].sum() / everything)
    assert found["units"].per_unit == pytest.approx(tuple(changed / (positions * len(perturbed))))
    assert figures_of(rows, cell(active_set=True))["metrics"]["architecture_change"] is None


def test_nothing_attacked_is_no_number() -> None:
    found = figures_of(image_rows([True, False], attacked=[False, False]), ONE)
    assert (found["metrics"]["success_rate"], found["n_attacked"], found["units"]) == (None, 0, None)
    assert found["metrics"]["architecture_change"] is None


def test_pieces_add_up_in_any_order() -> None:
    whole = Tally.of(table(*range(7)))
    pieces = [Tally.of(table(*numbers)) for numbers in ([5, 1], [0], [6, 2, 3, 4])]
    for order in (pieces, pieces[::-1]):
        assert (order[0] + order[1] + order[2]).figures() == pytest.approx(whole.figures(), rel=1e-12)
    summed = total([table(*numbers) for numbers in ([5, 1], [0], [6, 2, 3, 4])])
    assert summed is not None
    assert np.array_equal(summed.sums["miou"], whole.sums["miou"])
    assert total([]) is None


def test_a_merged_table_gives_the_same_however_it_was_cut() -> None:
    cuts = ([[0, 1, 2, 3, 4, 5, 6]], [[6, 3], [1], [0, 5, 2, 4]], [[k] for k in (4, 2, 6, 0, 1, 3, 5)])
    figures = [figures_of(merged([table(*numbers) for numbers in cut], IDS), ONE) for cut in cuts]
    assert figures[0] == figures[1] == figures[2]
    assert merged([table(3, 1), table(1, 0), table(2, 4, 5, 6)], IDS).column("id").to_pylist() == IDS
    with pytest.raises(ResultError, match="1 ids missing"):
        merged([table(0, 1, 2, 3, 4, 5)], IDS)


def test_what_it_cost_is_the_mean_over_scenes() -> None:
    figures = Tally.of(table(*range(7))).figures()
    assert figures["kvoxels"] == pytest.approx(np.mean([1 / (k + 1) for k in range(7)]))
    assert figures["gflops"] == pytest.approx(np.mean([0.1 * k for k in range(7)]))
    free = replace(outcome([0, 1]), effort={name: [None, None] for name in ("iterate", "voxels", "gflops")})
    assert Tally.of(free.table(SceneSegmentation)).figures()["gflops"] is None


def test_rows_keep_every_number_and_their_task() -> None:
    rows = table(2, 6)
    assert rows.schema.equals(SceneSegmentation.schema(), check_metadata=True)
    assert task_of(rows) is SceneSegmentation
    assert np.reshape(rows.column("clean_confusion")[1].as_py(), (C, C)).tolist() == MATRICES[0, 6].tolist()


def test_rows_survive_their_file_and_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(encode(table(2, 6), "ab", About(1.5, ("cpu",))))
    part = read_part(path, "ab", set(IDS))
    assert part.rows.equals(table(2, 6))
    assert task_of(part.rows) is SceneSegmentation
    with pytest.raises(UnusableError, match="belongs to another cell"):
        read_part(path, "cd", set(IDS))
    with pytest.raises(UnusableError, match="not in the data set, such as 'scene6'"):
        read_part(path, "ab", set(IDS[:6]))
