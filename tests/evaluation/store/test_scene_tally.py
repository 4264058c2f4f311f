"""Counts over scenes: whatever pieces they come in, the sums and figures are numpy's."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.effort import Effort
from lgm_bench.evaluation.store.part_files import About, UnusableError, encode, read_part
from lgm_bench.evaluation.store.rows import merged
from lgm_bench.evaluation.store.scene_rows import SCENE_SCHEMA, SceneOutcome, confusion_sum
from lgm_bench.evaluation.store.scene_tally import SceneTally, tally_of, total
from lgm_bench.metrics.architecture_change import ChangeCounts

C = 4
RANDOM = np.random.default_rng(0)
MATRICES = RANDOM.integers(0, 50, (2, 7, C, C))
MATRICES[:, :, 3] = MATRICES[:, :, :, 3] = 0  # a class that never occurs
IDS = [f"scene{number}" for number in range(7)]


def outcome(numbers: list[int], ignored: tuple[int, ...] = (0,)) -> SceneOutcome:
    """Rows of some of the scenes, with voxels and costs that tell them apart."""
    n = len(numbers)
    column = torch.tensor(numbers)[:, None] + 1
    zeros = torch.zeros(n)
    return SceneOutcome(
        ids=[IDS[number] for number in numbers],
        n_points=torch.tensor([MATRICES[0, number].sum() for number in numbers]),
        clean_confusion=torch.from_numpy(MATRICES[0, numbers]),
        confusion=torch.from_numpy(MATRICES[1, numbers]),
        ignored_classes=ignored,
        clean_miou=zeros.double(),
        miou=zeros.double(),
        distance=zeros,
        within_bounds=torch.tensor([number != 3 for number in numbers]),
        clean_loss=zeros,
        adversarial_loss=zeros,
        counts=ChangeCounts(100 * column, 3 * column, 5 * column, 105 * column),
        effort={"iterate": [1] * n, "voxels": [1e3 / (k + 1) for k in numbers], "gflops": [0.1 * k for k in numbers]},
        history=[[0.0]] * n,
    )


def table(*numbers: int) -> pa.Table:
    return outcome(list(numbers)).table()


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
    figures = SceneTally.of(outcome(list(range(7)), ignored).table()).figures(["a", "b", "c", "d"])
    record = figures["segmentation"]
    for matrix, ious, miou, confusion in (
        (MATRICES[0].sum(0), record.clean_iou, record.clean_miou, record.clean_confusion),
        (MATRICES[1].sum(0), record.iou, record.miou, record.confusion),
    ):
        assert np.array_equal(confusion, matrix)
        wanted = expected_ious(matrix, ignored)
        assert list(ious) == [None if iou is None else pytest.approx(iou, abs=1e-15) for iou in wanted]
        assert miou == pytest.approx(np.mean([iou for iou in wanted if iou is not None]), abs=1e-15)
    assert figures["accuracy"] == np.trace(MATRICES[1].sum(0)) / MATRICES[1].sum()
    assert (figures["n_attempts"], figures["n_attacked"], figures["success_rate"]) == (7, 7, None)
    assert record.classes == ("a", "b", "c", "d")


def test_the_mean_of_scenes_is_not_the_mean_over_scenes() -> None:
    """The figure is of the summed matrix: scenes with more points weigh more."""
    record = SceneTally.of(table(*range(7))).figures()["segmentation"]
    of_scenes = [np.mean([iou for iou in expected_ious(matrix, (0,)) if iou is not None]) for matrix in MATRICES[1]]
    assert abs(record.miou - np.mean(of_scenes)) > 1e-4


def test_voxels_are_the_architecture() -> None:
    change = SceneTally.of(table(0, 4)).figures()["architecture"]
    assert change.defined_over == "all"
    assert change.change.ratio == pytest.approx(8 / 105)
    assert (change.change.on_to_off, change.change.off_to_on) == (pytest.approx(3 / 105), pytest.approx(5 / 105))
    assert change.executed_clean == pytest.approx(100 / 105)
    assert change.executed_adversarial == pytest.approx(102 / 105)


def test_pieces_add_up_in_any_order() -> None:
    whole = SceneTally.of(table(*range(7)))
    pieces = [SceneTally.of(table(*numbers)) for numbers in ([5, 1], [0], [6, 2, 3, 4])]
    for order in (pieces, pieces[::-1]):
        added = order[0] + order[1] + order[2]
        for name in ("clean", "after", "voxels"):
            assert np.array_equal(getattr(added, name), getattr(whole, name))
        assert (added.attempts, added.out_of_bounds) == (whole.attempts, whole.out_of_bounds) == (7, 1)
        assert added.running() == whole.running()
    summed = total([table(*numbers) for numbers in ([5, 1], [0], [6, 2, 3, 4])])
    assert np.array_equal(summed.after, whole.after)
    assert total([]) is None


def test_a_merged_table_gives_the_same_however_it_was_cut() -> None:
    cuts = ([[0, 1, 2, 3, 4, 5, 6]], [[6, 3], [1], [0, 5, 2, 4]], [[k] for k in (4, 2, 6, 0, 1, 3, 5)])
    figures = [tally_of(merged([table(*numbers) for numbers in cut], IDS)).figures() for cut in cuts]
    assert figures[0] == figures[1] == figures[2]
    assert merged([table(3, 1), table(1, 0), table(2, 4, 5, 6)], IDS).column("id").to_pylist() == IDS
    with pytest.raises(ResultError, match="1 ids missing"):
        merged([table(0, 1, 2, 3, 4, 5)], IDS)


def test_what_it_cost_is_the_mean_over_scenes() -> None:
    cost = SceneTally.of(table(*range(7))).figures()["cost"]
    assert cost.kvoxels == pytest.approx(np.mean([1 / (k + 1) for k in range(7)]))
    assert cost.gflops == pytest.approx(np.mean([0.1 * k for k in range(7)]))
    free = replace(outcome([0, 1]), effort={name: [None, None] for name in ("iterate", "voxels", "gflops")})
    assert Effort.of(free.table()).record() is None
    assert (Effort.of(table(0)) + Effort.of(table(3))).record() == Effort.of(table(0, 3)).record()


def test_rows_keep_every_number() -> None:
    rows = table(2, 6)
    assert rows.schema.equals(SCENE_SCHEMA)
    assert np.array_equal(confusion_sum(rows, "confusion"), MATRICES[1, [2, 6]].sum(0))
    assert np.reshape(rows.column("clean_confusion")[1].as_py(), (C, C)).tolist() == MATRICES[0, 6].tolist()


def test_rows_survive_their_file_and_others_are_refused(tmp_path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(encode(table(2, 6), "ab", About(1.5, ("cpu",))))
    part = read_part(path, "ab", set(IDS))
    assert part.rows.equals(table(2, 6).replace_schema_metadata(part.rows.schema.metadata))
    assert isinstance(tally_of(part.rows), SceneTally)
    with pytest.raises(UnusableError, match="belongs to another cell"):
        read_part(path, "cd", set(IDS))
    with pytest.raises(UnusableError, match="not in the data set, such as 'scene6'"):
        read_part(path, "ab", set(IDS[:6]))
