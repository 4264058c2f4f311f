"""Cells and results made by hand, for tests of what is done with them."""

from dataclasses import fields
from typing import Any

import numpy as np

from lgm_bench.attacks import GRADIENT_FREE
from lgm_bench.evaluation.cells.cell import KINDS, NO_GRADIENT, AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.store.record import CellResult, Checks, UnitRecord
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.tasks.base import ClassRecord, task_named
from lgm_bench.tasks.images import ImageClassification

PART_OF = {one.name: part for part, kind in KINDS.items() for one in fields(kind)}


def altered(of: Cell, **values: Any) -> Cell:
    """The cell with other values, each by its own name: `altered(cell, victim="resnet8-mini", eps=2.0)`."""
    if values.get("attack") in GRADIENT_FREE:
        values = {"gradient": NO_GRADIENT, **values}
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name in KINDS or name in PART_OF:
            part, key = (name, "name") if name in KINDS else (PART_OF[name], name)
            changes.setdefault(part, {})[key] = value
        else:
            changes[name] = value
    return of.replace(**changes)


def flat_cell(victim: str, data: str, attack: str, gradient: str, eps: float, **others: Any) -> Cell:
    """A cell of plain values, of the released runs' protocol unless `others` name another."""
    plain = Cell(VictimSpec(victim), DataSpec(data), AttackSpec(attack, eps), GradientSpec(gradient), "official")
    return altered(plain, **others)


ONE = flat_cell("dynconv8-cifar10", "cifar10", "fgsm", "fgm", 1.0)


def cell(**changes: Any) -> Cell:
    """`ONE` with other values."""
    return altered(ONE, **changes)


def result(
    of: Cell = ONE, accuracy: float = 0.25, change: float | None = 0.125, task: str = "images", **others: Any
) -> CellResult:
    """A result of a cell; `change` None is a static victim's. `others` are fields of the record or figures by name."""
    units = change is not None and UnitRecord(n_samples=80, on_to_off=change, off_to_on=0.0, per_unit=(change,))
    figures = {
        "clean_accuracy": 0.8,
        "accuracy": accuracy,
        "success_rate": 1 - accuracy / 0.8,
        "architecture_change": change,
        "executed_clean": change and 0.5,
        "executed": change and 0.5,
    }
    names = [metric.name for metric in task_named(task).metrics]
    metrics = {name: others.pop(name, figures.get(name)) for name in names}
    values: dict[str, Any] = {
        "task": task,
        "cell": of,
        "fingerprint": "0123456789abcdef",
        "n_samples": 100,
        "n_attempts": 100,
        "n_attacked": 80,
        "metrics": metrics,
        "units": units or None,
        "checks": Checks(
            n_samples=8, zero_gradient_share=0.0, deterministic=True, batch_invariance=0.0, within_bounds=True
        ),
        "folded": True,
        "checkpoint_sha256": "00",
        "data_sha256": "00",
        "content_sha256": "00",
        "finished_at": "2026-01-02T03:04:05+00:00",
        "versions": {},
        "git_commit": None,
        "device": "cpu",
        "precision": "float32",
        "wall_time_s": 1.0,
    }
    return CellResult.model_validate(values | others)


def shapes(of: Cell, **others: Any) -> CellResult:
    """A result of shapes."""
    return result(of, task="classification", **others)


def scenes(
    of: Cell,
    miou: float,
    clean_miou: float = 0.6,
    names: tuple[str, ...] = ("wall",),
    iou: tuple[float | None, ...] = (0.5,),
    clean_iou: tuple[float | None, ...] = (0.75,),
    **others: Any,
) -> CellResult:
    """A result of scenes, with the mIoU and the IoUs of its classes."""
    matrix = tuple(map(tuple, np.eye(len(names), dtype=int).tolist()))
    classes = ClassRecord(names=names, clean_iou=clean_iou, iou=iou, clean_confusion=matrix, confusion=matrix)
    return result(of, task="segmentation", miou=miou, clean_miou=clean_miou, classes=classes, **others)


def tally(right: int, n: int) -> Tally:
    """Sums over n images, of which some are right after the attack."""
    sums = {metric.name: np.zeros(2) for metric in ImageClassification.metrics}
    return Tally(ImageClassification, sums | {"accuracy": np.array([right, n], float)})
