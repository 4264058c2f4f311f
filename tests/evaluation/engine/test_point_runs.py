"""Whole runs of cells of points: records, resuming, several processes, and clouds that are kept."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from forked import free_port, together
from hand_made import altered, flat_cell
from sklearn.metrics import confusion_matrix, jaccard_score
from tiny_points import CLASSES, ROOMS, SCENE_NET, SHAPE_NET, SHAPES, Rooms

from datamodules.batch import IGNORED
from lgm_bench.errors import RunInterruptedError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.progress import Observer
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.samples import read_sample
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.tasks.samples import SavedCloud

TESTS = Path(__file__).resolve().parents[2]
SCENES = flat_cell(SCENE_NET, ROOMS, "pointbim", "lgm", 0.03, step=0.01, steps=3, slope=10.0)
FORMS = flat_cell(SHAPE_NET, SHAPES, "pointpert", "lgm", 0.03, step=0.01, steps=3, slope=10.0)
N = len(Rooms.sizes)


def run(cell: Cell, out: Path, **options: Any) -> CellResult:
    results = run_cells([cell], out, **{"accelerator": "cpu"} | options)
    for _, error in results.failures:
        raise error
    (result,) = results
    return result


def rows_of(out: Path) -> list[dict[str, Any]]:
    (path,) = out.glob("*/rows.parquet")
    return pq.read_table(path).to_pylist()


def clouds_of(out: Path) -> dict[str, Any]:
    return {path.name: read_sample(path, SavedCloud) for path in sorted(out.glob("*/clouds/*.npz"))}


def numbers(result: CellResult) -> dict[str, Any]:
    return result.model_dump(exclude={"finished_at", "wall_time_s", "device", "git_commit", "peak_memory", "run"})


def files(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


class Stopping(Observer):
    """Presses Ctrl-C after so many samples."""

    def __init__(self, after: int) -> None:
        self.after, self.started, self.stored = after, [], []

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:  # noqa: ARG002
        self.started.append((total_samples, done_samples))

    def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:  # noqa: ARG002
        if n_done == self.after:
            raise KeyboardInterrupt

    def cell_finished(self, result: CellResult, from_store: bool) -> None:  # noqa: ARG002
        self.stored.append(from_store)


def test_the_record_is_what_sklearn_makes_of_the_kept_clouds(tmp_path: Path) -> None:
    result = run(SCENES, tmp_path, save_adversarial=True)
    record = result.classes
    clouds = list(clouds_of(tmp_path).values())
    assert len(clouds) == N
    labels, predictions = (
        np.concatenate([getattr(one, name).numpy() for one in clouds]) for name in ("labels", "prediction")
    )
    counted = labels != IGNORED
    matrix = confusion_matrix(labels[counted], predictions[counted], labels=range(CLASSES))
    assert np.array_equal(matrix, record.confusion)
    assert np.array_equal(sum(np.reshape(row["confusion"], matrix.shape) for row in rows_of(tmp_path)), matrix)
    there = [k for k in range(1, CLASSES) if matrix[k].any() or matrix[:, k].any()]
    ious = jaccard_score(labels[counted], predictions[counted], labels=there, average=None)
    assert result.left == pytest.approx(ious.mean(), abs=1e-12)
    assert [record.iou[k] for k in there] == pytest.approx(ious.tolist(), abs=1e-12)
    assert [k for k in range(CLASSES) if record.iou[k] is None] == [k for k in range(CLASSES) if k not in there]
    (path,) = tmp_path.glob("*/result.json")
    assert json.loads(path.read_text())["metrics"]["miou"] == result.left
    assert result.left < result.clean - 0.05
    assert record.names == Rooms.class_names


@pytest.mark.parametrize("cell", [SCENES, FORMS], ids=["scenes", "shapes"])
def test_an_interrupted_run_goes_on_with_the_same_numbers(tmp_path: Path, cell: Cell) -> None:
    with pytest.raises(RunInterruptedError):
        run(cell, tmp_path / "stopped", batch_size=2, observer=Stopping(after=2), save_adversarial=True)
    assert len(clouds_of(tmp_path / "stopped")) == 2
    events = Stopping(after=-1)
    resumed = run(cell, tmp_path / "stopped", batch_size=2, observer=events, save_adversarial=True)
    assert events.started == [(N, 2)]
    whole = run(cell, tmp_path / "whole", batch_size=2, save_adversarial=True)
    assert numbers(resumed) == numbers(whole)
    assert rows_of(tmp_path / "stopped") == rows_of(tmp_path / "whole")
    for one, other in zip(*(clouds_of(tmp_path / name).values() for name in ("stopped", "whole")), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def one_of_two(rank: int, out: Path, port: str) -> None:
    """Do what a process that torchrun started does."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    run(SCENES, out, save_adversarial=True)


def test_two_processes_give_the_same_rows_and_clouds(tmp_path: Path) -> None:
    together(one_of_two, tmp_path / "2", free_port())
    one, two = (run(SCENES, tmp_path / str(n), save_adversarial=True) for n in (1, 2))
    assert [result.run.processes for result in (one, two)] == [1, 2]
    assert {**numbers(one), "checks": None} == {**numbers(two), "checks": None}
    assert rows_of(tmp_path / "1") == rows_of(tmp_path / "2")
    examples = [sorted((tmp_path / name).glob("*/examples/*")) for name in "12"]
    assert [path.read_bytes() for path in examples[0]] == [path.read_bytes() for path in examples[1]]
    assert len(examples[0]) == N
    clouds = [clouds_of(tmp_path / name) for name in "12"]
    assert clouds[0].keys() == clouds[1].keys()
    for name, cloud in clouds[0].items():
        assert all(np.array_equal(a, b) for a, b in zip(cloud, clouds[1][name], strict=True))


def test_samples_without_a_cloud_are_attacked_again_and_only_those(tmp_path: Path) -> None:
    events = Stopping(after=-1)
    plain = run(SCENES, tmp_path, observer=events)
    assert not list(tmp_path.glob("*/clouds"))
    kept = run(SCENES, tmp_path, observer=events, save_adversarial=True)
    assert numbers(kept) == numbers(plain)
    (folder,) = tmp_path.glob("*/clouds")
    assert len(list(folder.glob("*.ply"))) == len(list(folder.glob("*.npz"))) == N
    before = files(tmp_path)
    run(SCENES, tmp_path, observer=events, save_adversarial=True)
    run(SCENES, tmp_path, observer=events)
    assert files(tmp_path) == before
    lost = sorted(folder.glob("*.npz"))[1]
    lost.unlink()
    again = run(SCENES, tmp_path, observer=events, save_adversarial=True)
    assert numbers(again) == numbers(plain)
    assert lost.exists()
    assert events.started == [(N, 0), (N, 0), (N, N), (N, N), (N, N - 1)]
    assert events.stored == [False, False, True, True, False]
    changed = {path for path, time in files(tmp_path).items() if before.get(path) != time}
    assert {path.name for path in changed} <= {lost.name, lost.with_suffix(".ply").name, "result.json", "rows.parquet"}


def test_rows_left_by_a_run_that_kept_no_clouds_are_computed_again(tmp_path: Path) -> None:
    with pytest.raises(RunInterruptedError):
        run(SCENES, tmp_path, batch_size=2, observer=Stopping(after=4))
    events = Stopping(after=-1)
    kept = run(SCENES, tmp_path, observer=events, save_adversarial=True)
    assert events.started == [(N, 0)]
    assert (kept.n_samples, len(clouds_of(tmp_path)), len(rows_of(tmp_path))) == (N, N, N)


def test_architecture_is_the_voxels(tmp_path: Path) -> None:
    result = run(SCENES, tmp_path)
    rows = rows_of(tmp_path)
    units, metrics = result.units, result.metrics
    total = sum(row["positions"][0] for row in rows)
    assert units.on_to_off == pytest.approx(sum(row["on_to_off"][0] for row in rows) / total)
    assert units.off_to_on == pytest.approx(sum(row["off_to_on"][0] for row in rows) / total)
    assert metrics["architecture_change"] == pytest.approx(units.on_to_off + units.off_to_on)
    assert metrics["architecture_change"] > 0.05
    assert metrics["kvoxels"] == pytest.approx(np.mean([row["voxels"] for row in rows]) / 1000)


def test_what_changes_a_number_changes_the_folder_and_what_does_not_does_not(tmp_path: Path) -> None:
    few = altered(SCENES, limit=1, steps=1)
    others = [
        altered(few, relation="rbf"),
        altered(few, input_slope=20.0),
        altered(few, output_slope=20.0),
        altered(few, floor_slope=20.0),
        altered(few, loss="lovasz"),
        altered(few, protocol="standard"),
    ]
    same = [few, altered(few, relation="sigmoid", input_slope=10.0, output_slope=10.0, loss="cross_entropy")]
    results = run_cells([*same, *others], tmp_path, accelerator="cpu")
    assert not results.failures
    assert results[0].fingerprint == results[1].fingerprint
    assert len({result.fingerprint for result in results}) == len(others) + 1


def test_gradient_free_attacks_are_one_cell_whatever_the_slopes(tmp_path: Path) -> None:
    cell = flat_cell(SCENE_NET, ROOMS, "random", "fgm", 0.03, limit=2)
    first, second = run_cells([cell, altered(cell, relation="rbf", input_slope=5.0)], tmp_path, accelerator="cpu")
    assert first.fingerprint == second.fingerprint
    assert first.metrics["gflops"] is None
