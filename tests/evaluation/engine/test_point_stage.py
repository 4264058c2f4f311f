"""The attack stage on point clouds against a plain loop over single ones, written down in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from tiny_points import CLASSES, SCENE_NET, SHAPE_NET, VOXEL, Rooms, Shapes

from datamodules.batch import IGNORED, PointBatch
from datamodules.point_datamodule import PointDataModule
from lgm_bench import FGM, LGM
from lgm_bench.attacks import PointBIM, RandomPerturbation
from lgm_bench.evaluation.engine.compute import FiguresOfRows
from lgm_bench.evaluation.engine.stage import AttackStage
from lgm_bench.evaluation.store.record import Preflight
from lgm_bench.evaluation.store.samples import keep_adversarial, read_sample, sample_path
from lgm_bench.tasks.adapter import adapter_named
from lgm_bench.tasks.samples import SavedCloud
from lgm_bench.voxels import PointCloud, VoxelSlopes
from victims import load_victim

EPS, STEPS = 0.03, 4
Row = dict[str, Any]
CASES = {"scenes": (SCENE_NET, Rooms), "shapes": (SHAPE_NET, Shapes)}


class Rows:
    """Keeps what a stage produces."""

    def __init__(self, folder: Path | None = None) -> None:
        self.tables: list[pa.Table] = []
        self.checks: list[Preflight] = []
        self.iterations: list[tuple[int, int, int]] = []
        self.folder = folder

    def checked(self, checks: Preflight) -> None:
        self.checks.append(checks)

    def attacked(self, cloud: SavedCloud) -> None:
        keep_adversarial(self.folder, cloud, Rooms.class_names)

    def finished(self, rows: pa.Table, seconds: float) -> None:
        assert seconds > 0
        self.tables.append(rows)

    def iteration(self, i: int, steps: int, n: int) -> None:
        self.iterations.append((i, steps, n))

    @property
    def rows(self) -> list[Row]:
        return pa.concat_tables(self.tables).to_pylist()


def staged(case: str, gradient=None, attack=None, folder=None, batch_size=2, **options) -> tuple[Rows, dict]:
    name, data = CASES[case]
    sink = Rows(folder)
    module = data(batch_size=batch_size)
    attack = attack or PointBIM(EPS, step=0.01, steps=STEPS - 1)
    adapter = adapter_named(module.task, module.ignored_classes)
    arguments = (load_victim(name), attack, gradient or LGM(10.0), adapter)
    stage = AttackStage(*arguments, sink, save_adversarial=folder is not None, **options)
    trainer = Trainer(accelerator="cpu", inference_mode=False, logger=False, enable_progress_bar=False)
    trainer.test(stage, datamodule=module, verbose=False)
    figures = FiguresOfRows(adapter.task, CLASSES)
    figures.update(pa.concat_tables(sink.tables))
    return sink, figures.merged()


def singles(data: PointDataModule) -> list[PointBatch]:
    data.setup("test")
    return list(data.test_dataloader())


def numpy_confusion(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    matrix = np.zeros((CLASSES, CLASSES), np.int64)
    counted = labels != IGNORED
    np.add.at(matrix, (labels[counted], predictions[counted]), 1)
    return matrix


def numpy_miou(matrix: np.ndarray, ignored: tuple[int, ...]) -> float:
    ious = []
    for k in set(range(CLASSES)) - set(ignored):
        union = matrix[k].sum() + matrix[:, k].sum() - matrix[k, k]
        ious += [matrix[k, k] / union] if union else []
    return float(np.mean(ious))


def voxel_set(points: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(place) for place in np.floor(points.numpy() / np.float32(VOXEL)).astype(int).tolist()}


def loop(case: str, gradient) -> list[Row]:
    """What the stage has to say of every cloud, computed one by one."""
    name, data = CASES[case]
    victim, ignored = load_victim(name).requires_grad_(False), data.ignored_classes
    rows = []
    for cloud, labels, ids in singles(data(batch_size=1)):
        attack, adapter = PointBIM(EPS, step=0.01, steps=STEPS - 1), adapter_named(victim.task, ignored)
        result = attack.attack(victim, cloud, labels, gradient=gradient, ids=ids, adapter=adapter)
        before, after = (victim(cloud.moved(points)) for points in (cloud.points, result.adversarial))
        old, new = voxel_set(cloud.points), voxel_set(result.adversarial)
        counts = {"on_before": [len(old)], "on_to_off": [len(old - new)], "off_to_on": [len(new - old)]}
        counts |= {"positions": [len(old | new)], "changed_share": len(old ^ new) / len(old | new)}
        row = {"id": ids[0], "iterate": int(result.kept), "within_bounds": True, **counts}
        row["distance"] = pytest.approx(np.abs((result.adversarial - cloud.points).numpy()).max(), rel=1e-5)
        row["voxels"] = pytest.approx(result.costs["voxels"].double().mean().item())
        row["gflops"] = pytest.approx(result.costs["gflops"].mean().item(), rel=1e-12)
        assert result.costs["gflops"].shape == (STEPS - 1, 1)
        for when, logits in (("clean_", before), ("", after)):
            loss = F.cross_entropy(logits, labels, ignore_index=IGNORED).item()
            row["clean_loss" if when else "adversarial_loss"] = pytest.approx(loss, rel=1e-4)
            predictions = logits.argmax(1).numpy()
            if data is Shapes:
                row["clean_prediction" if when else "adversarial_prediction"] = int(predictions[0])
                continue
            matrix = numpy_confusion(labels.numpy(), predictions)
            row[f"{when}confusion"] = matrix.flatten().tolist()
            row[f"{when}miou"] = pytest.approx(numpy_miou(matrix, ignored), abs=1e-12)
        rows.append(row)
    return rows


@pytest.mark.parametrize("gradient", [FGM(VoxelSlopes(input=10.0, output=10.0)), LGM(10.0)], ids=repr)
def test_rows_and_metrics_of_scenes_are_those_of_a_plain_loop(gradient) -> None:
    sink, metrics = staged("scenes", gradient)
    expected = loop("scenes", gradient)
    assert [{key: row[key] for key in expected[0]} for row in sink.rows] == expected
    for when, column in (("clean_miou", "clean_confusion"), ("miou", "confusion")):
        total = sum(np.reshape(row[column], (CLASSES, CLASSES)) for row in expected)
        assert metrics[when] == pytest.approx(numpy_miou(total, (0,)), rel=1e-6)
    assert metrics["miou"] < metrics["clean_miou"] - 0.05, "an attack that does nothing would prove nothing"
    assert [row["n_points"] for row in sink.rows] == list(Rooms.sizes)
    assert sink.iterations[:4] == [(1, STEPS - 1, 2), (2, STEPS - 1, 2), (3, STEPS - 1, 2), (1, STEPS - 1, 2)]


def test_rows_and_metrics_of_shapes_are_those_of_a_plain_loop() -> None:
    sink, metrics = staged("shapes")
    expected = loop("shapes", LGM(10.0))
    assert [{key: row[key] for key in expected[0]} for row in sink.rows] == expected
    for row in sink.rows:
        assert row["attacked"] == (row["clean_prediction"] == row["label"])
        assert row["success"] == (row["attacked"] and row["adversarial_prediction"] != row["label"])
        assert row["correct"] == (row["attacked"] and not row["success"])
        assert row["perturbed"]
    assert metrics["clean_accuracy"] == pytest.approx(np.mean([row["attacked"] for row in sink.rows]))
    assert metrics["accuracy"] == pytest.approx(np.mean([row["correct"] for row in sink.rows]))
    assert {row["attacked"] for row in sink.rows} == {True, False}


@pytest.mark.parametrize("case", CASES)
def test_batches_change_nothing(case: str) -> None:
    alone, together = (staged(case, batch_size=size)[0].rows for size in (1, 5))
    if case == "shapes":  # they go through the network together: sums over rows may differ in the last bit
        together = [
            {key: pytest.approx(value, rel=1e-5) if isinstance(value, float) else value for key, value in row.items()}
            for row in together
        ]
    assert alone == together


def test_random_moves_have_no_cost() -> None:
    sink, _ = staged("scenes", FGM(), RandomPerturbation(EPS))
    assert all(row["voxels"] is None and row["gflops"] is None for row in sink.rows)
    assert all(row["distance"] == pytest.approx(EPS, rel=0.1) and row["within_bounds"] for row in sink.rows)


def test_checks_are_made_on_the_first_clouds() -> None:
    (probe, *_) = singles(Rooms(batch_size=3))
    sink, _ = staged("scenes", probe=probe)
    (checks,) = sink.checks
    assert checks.n_samples == 3
    assert checks.deterministic
    assert checks.batch_invariance < 1e-5
    assert checks.zero_gradient_share < 0.2


def cloud_of(saved: SavedCloud) -> PointCloud:
    return PointCloud(saved.points, saved.features, torch.zeros(len(saved.points), dtype=torch.int64))


def test_a_saved_cloud_scores_as_it_did_when_it_was_saved(tmp_path: Path) -> None:
    rows = staged("scenes", folder=tmp_path)[0].rows
    victim = load_victim(SCENE_NET)
    for row, (clean, labels, _) in zip(rows, singles(Rooms()), strict=True):
        saved = read_sample(sample_path(tmp_path / "clouds", row["id"]), SavedCloud)
        assert saved.id == row["id"]
        assert torch.equal(saved.clean, clean.points)
        assert torch.equal(saved.features, clean.features)
        assert torch.equal(saved.labels, labels)
        with torch.no_grad():
            logits = victim(cloud_of(saved))
        assert torch.equal(logits.argmax(1), saved.prediction)
        matrix = numpy_confusion(labels.numpy(), logits.argmax(1).numpy())
        assert matrix.flatten().tolist() == row["confusion"]
        assert numpy_miou(matrix, (0,)) == row["miou"]
        loss = F.cross_entropy(logits, labels, ignore_index=IGNORED).item()
        assert loss == pytest.approx(row["adversarial_loss"], rel=1e-6)
        assert float((saved.points - saved.clean).abs().max()) == pytest.approx(row["distance"], rel=1e-6)


def test_saved_shapes_keep_their_verdict(tmp_path: Path) -> None:
    rows = staged("shapes", folder=tmp_path)[0].rows
    victim = load_victim(SHAPE_NET)
    for row in rows:
        saved = read_sample(sample_path(tmp_path / "clouds", row["id"]), SavedCloud)
        with torch.no_grad():
            prediction = int(victim(cloud_of(saved)).argmax())
        assert prediction == row["adversarial_prediction"] == int(saved.prediction)
        assert int(saved.labels) == row["label"]
