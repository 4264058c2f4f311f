"""Finished cells in a results folder, of which a test says what happened to every sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hand_made import cell, result

from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.rows import Outcome
from lgm_bench.evaluation.store.store import CellStore, ids_sha256
from lgm_bench.evaluation.store.tally import figures_of
from lgm_bench.metrics.architecture_change import ChangeCounts
from lgm_bench.tasks.base import task_of
from lgm_bench.tasks.images import ImageClassification
from lgm_bench.tasks.point_clouds import SceneSegmentation


def image_rows(fell: Sequence[bool], target: int | None = None, attacked: Sequence[bool] | None = None) -> Any:
    """Rows of images that are right without an attack, of which some fall."""
    n = len(fell)
    gone, zeros = torch.tensor(fell), torch.zeros(n)
    tried = torch.ones(n, dtype=torch.bool) if attacked is None else torch.tensor(attacked)
    return Outcome(
        ids=[f"image{number}" for number in range(n)],
        target=target,
        perturbed=tried,
        attacked=tried,
        verdict={
            "label": torch.zeros(n, dtype=torch.int32),
            "clean_prediction": torch.zeros(n, dtype=torch.int32),
            "adversarial_prediction": gone.int(),
            "success": gone & tried,
            "correct": ~gone,
        },
        distance=zeros,
        within_bounds=torch.ones(n, dtype=torch.bool),
        clean_loss=zeros,
        adversarial_loss=zeros,
        counts=None,
    ).table(ImageClassification)


def scene_rows(confusion: np.ndarray, ignored: Sequence[int] = ()) -> Any:
    """Rows of scenes with these confusion matrices (scenes, C, C), before and after."""
    n = len(confusion)
    matrices, zeros, ones = torch.from_numpy(confusion), torch.zeros(n), torch.ones(n, 1, dtype=torch.int64)
    return Outcome(
        ids=[f"scene{number}" for number in range(n)],
        target=None,
        perturbed=torch.ones(n, dtype=torch.bool),
        attacked=torch.ones(n, dtype=torch.bool),
        verdict={
            "n_points": matrices.sum((1, 2)),
            "clean_confusion": matrices,
            "confusion": matrices,
            "ignored_classes": list(ignored),
            "clean_miou": zeros.double(),
            "miou": zeros.double(),
        },
        distance=zeros,
        within_bounds=torch.ones(n, dtype=torch.bool),
        clean_loss=zeros,
        adversarial_loss=zeros,
        counts=ChangeCounts(ones, 0 * ones, 0 * ones, ones),
        effort={"iterate": [1] * n, "voxels": [1.0] * n, "gflops": [1.0] * n},
        followed={"history": [[1.0]] * n},
    ).table(SceneSegmentation)


def finished(out: Path, fingerprint: str, rows: Any, changes: dict[str, Any], **others: Any) -> CellResult:
    """Write a finished cell of these rows; `changes` make the cell, `others` the record."""
    ids = list(dict.fromkeys(rows.column("id").to_pylist()))
    of = cell(**changes)
    n_classes = round(len(rows.column("confusion")[0]) ** 0.5) if task_of(rows).labels_points else 0
    figures = figures_of(rows, of, [f"class{number}" for number in range(n_classes)])
    values = {"fingerprint": fingerprint, "data_sha256": ids_sha256(ids), "n_samples": len(ids)} | others
    record = result(of).model_copy(update=figures | values)
    store = CellStore(out, of.title, fingerprint)
    with store.locked():
        store.finish(record, rows, [])
    return record
