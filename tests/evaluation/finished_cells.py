"""Finished cells in a results folder, of which a test says what happened to every sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hand_made import cell, result

from lgm_bench.evaluation.engine.building import ids_sha256
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.rows import Outcome
from lgm_bench.evaluation.store.scene_rows import SceneOutcome
from lgm_bench.evaluation.store.scene_tally import SceneTally
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.metrics.architecture_change import ChangeCounts


def image_rows(fell: Sequence[bool], target: int | None = None, attacked: Sequence[bool] | None = None) -> Any:
    """Rows of images that are right without an attack, of which some fall."""
    n = len(fell)
    gone, zeros = torch.tensor(fell), torch.zeros(n)
    tried = torch.ones(n, dtype=torch.bool) if attacked is None else torch.tensor(attacked)
    return Outcome(
        ids=[f"image{number}" for number in range(n)],
        label=torch.zeros(n, dtype=torch.int32),
        target=target,
        clean_prediction=torch.zeros(n, dtype=torch.int32),
        adversarial_prediction=gone.int(),
        perturbed=tried,
        attacked=tried,
        success=gone & tried,
        correct=~gone,
        distance=zeros,
        within_bounds=torch.ones(n, dtype=torch.bool),
        clean_loss=zeros,
        adversarial_loss=zeros,
        counts=None,
    ).table()


def scene_rows(confusion: np.ndarray, ignored: Sequence[int] = ()) -> Any:
    """Rows of scenes with these confusion matrices (scenes, C, C), before and after."""
    n = len(confusion)
    matrices, zeros, ones = torch.from_numpy(confusion), torch.zeros(n), torch.ones(n, 1, dtype=torch.int64)
    return SceneOutcome(
        ids=[f"scene{number}" for number in range(n)],
        n_points=matrices.sum((1, 2)),
        clean_confusion=matrices,
        confusion=matrices,
        ignored_classes=ignored,
        clean_miou=zeros.double(),
        miou=zeros.double(),
        distance=zeros,
        within_bounds=torch.ones(n, dtype=torch.bool),
        clean_loss=zeros,
        adversarial_loss=zeros,
        counts=ChangeCounts(ones, 0 * ones, 0 * ones, ones),
        effort={"iterate": [1] * n, "voxels": [1.0] * n, "gflops": [1.0] * n},
        history=[[1.0]] * n,
    ).table()


def finished(out: Path, fingerprint: str, rows: Any, changes: dict[str, Any], **others: Any) -> CellResult:
    """Write a finished cell of these rows; `changes` make the cell, `others` the record."""
    ids = list(dict.fromkeys(rows.column("id").to_pylist()))
    if "confusion" in rows.column_names:
        others = {"segmentation": SceneTally.of(rows).figures(["x"])["segmentation"]} | others
    of = cell(**changes)
    values = {"fingerprint": fingerprint, "data_sha256": ids_sha256(ids), "n_samples": len(ids)} | others
    record = result(of, **values)
    store = CellStore(out, of.title, fingerprint)
    with store.locked():
        store.finish(record, rows, [])
    return record
