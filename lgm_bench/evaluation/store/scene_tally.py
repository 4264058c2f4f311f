"""Counts over the rows of scenes that can be added up, and the figures that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lgm_bench.evaluation.store.effort import Effort
from lgm_bench.evaluation.store.record import ArchitectureRecord, SegmentationRecord
from lgm_bench.evaluation.store.scene_rows import confusion_sum
from lgm_bench.evaluation.store.tally import Tally, executed, summary, unit_sums
from lgm_bench.metrics.iou import class_ious, iou_counts, mean_iou

Counts = np.ndarray


@dataclass(frozen=True)
class SceneTally:
    """Integer counts over scenes: the same whatever the order, the batches and the processes that they came from.

    Attributes:
        attempts: Scenes.
        clean: Confusion matrix (C, C) before the attack.
        after: The same after it.
        ignored_classes: Classes that take no part in the mIoU.
        out_of_bounds: Scenes with a point outside its cube.
        voxels: (4, 1): voxels before, disappeared, appeared, all.
        effort: What the attack cost.
    """

    attempts: int
    clean: Counts
    after: Counts
    ignored_classes: tuple[int, ...]
    out_of_bounds: int
    voxels: Counts
    effort: Effort

    @classmethod
    def of(cls, table: pa.Table) -> "SceneTally":
        """Count the rows, at least one, of a table with the columns of `scene_rows.SCENE_SCHEMA`."""
        return cls(
            attempts=table.num_rows,
            clean=confusion_sum(table, "clean_confusion"),
            after=confusion_sum(table, "confusion"),
            ignored_classes=tuple(table.column("ignored_classes")[0].as_py()),
            out_of_bounds=table.num_rows - int(pc.sum(table.column("within_bounds")).as_py()),
            voxels=unit_sums(table, np.ones(table.num_rows, bool)),
            effort=Effort.of(table),
        )

    def __add__(self, other: "SceneTally") -> "SceneTally":
        return SceneTally(
            attempts=self.attempts + other.attempts,
            clean=self.clean + other.clean,
            after=self.after + other.after,
            ignored_classes=self.ignored_classes,
            out_of_bounds=self.out_of_bounds + other.out_of_bounds,
            voxels=self.voxels + other.voxels,
            effort=self.effort + other.effort,
        )

    def running(self) -> dict[str, float]:
        """Return the figures for a live view."""
        return {"clean_miou": self._miou(self.clean), "miou": self._miou(self.after)}

    def figures(self, classes: Sequence[str] = ()) -> dict[str, Any]:
        """Return what a record says of the rows, by the names of its fields.

        Args:
            classes: Names of the classes.
        """
        change = summary(self.voxels, self.attempts)
        return {
            "n_attempts": self.attempts,
            "n_attacked": self.attempts,
            "clean_accuracy": _accuracy(self.clean),
            "accuracy": _accuracy(self.after),
            "success_rate": None,
            "architecture": ArchitectureRecord(
                defined_over="all",
                attacked=change,
                all_images=change,
                executed_clean=executed(self.voxels, after=False),
                executed_adversarial=executed(self.voxels, after=True),
            ),
            "segmentation": SegmentationRecord(
                clean_miou=self._miou(self.clean),
                miou=self._miou(self.after),
                classes=tuple(classes),
                clean_iou=self._ious(self.clean),
                iou=self._ious(self.after),
                clean_confusion=tuple(map(tuple, self.clean.tolist())),
                confusion=tuple(map(tuple, self.after.tolist())),
            ),
            "cost": self.effort.record(),
        }

    def _miou(self, confusion: Counts) -> float:
        return float(mean_iou(*iou_counts(confusion, self.ignored_classes)))

    def _ious(self, confusion: Counts) -> tuple[float | None, ...]:
        ious = class_ious(*iou_counts(confusion, self.ignored_classes))
        return tuple(None if iou != iou else iou for iou in ious.tolist())


AnyTally = Tally | SceneTally


def tally_of(table: pa.Table) -> AnyTally:
    """Count the rows of a table, of scenes or of what is classified."""
    return SceneTally.of(table) if "confusion" in table.column_names else Tally.of(table)


def figures_of(table: pa.Table, classes: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a record says of all rows of a cell, by the names of its fields; `classes` are scenes' names."""
    tally = tally_of(table)
    return tally.figures(classes) if isinstance(tally, SceneTally) else tally.figures()


def total(tables: Sequence[pa.Table]) -> AnyTally | None:
    """Count the rows of several tables of one cell; None without any."""
    result = None
    for table in tables:
        result = added(result, tally_of(table))
    return result


def added(first: Any, second: AnyTally) -> AnyTally:
    """Return the sum of two tallies of one cell; the first may be None."""
    total: AnyTally = second if first is None else first + second
    return total


def _accuracy(confusion: Counts) -> float:
    return float(np.trace(confusion) / max(confusion.sum(), 1))
