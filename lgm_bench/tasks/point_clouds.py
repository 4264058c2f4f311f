"""Point clouds: shapes with one label each, and scenes with one label per point."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pyarrow as pa

from lgm_bench.metrics.iou import class_ious, iou_counts, mean_iou
from lgm_bench.tasks.base import ClassRecord, Task
from lgm_bench.tasks.columns import Numbers, lists
from lgm_bench.tasks.images import ACCURACY, CLASSIFIED, CLEAN_ACCURACY, SUCCESS_RATE
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE, COST, EXECUTED, Metric, Tolerance

CHANGE_OF_VOXELS = replace(ARCHITECTURE_CHANGE, tolerance=Tolerance(0.1))
"""The tolerance is large because rounding may make another iterate, with other voxels, the best one."""
VOXELS = "Voxels", "all voxels that there ever were"
"""`Task.units` and `Task.decisions` for tasks whose decisions are voxels."""


class ShapeClassification(Task):
    """Rows and metrics of shapes, as for images; the decisions of a shape are its occupied voxels."""

    name = "classification"
    adapter = "lgm_bench.tasks.clouds:Shapes"
    inputs, sample, unit_of_eps = "points", "shape", "radii"
    units, decisions = VOXELS
    columns: ClassVar[tuple[pa.Field, ...]] = CLASSIFIED
    metrics: ClassVar[tuple[Metric, ...]] = (CLEAN_ACCURACY, ACCURACY, SUCCESS_RATE, CHANGE_OF_VOXELS, *EXECUTED, *COST)
    main = "accuracy"


#: clean_confusion, confusion: confusion matrix (C, C) of the hard network before and after the attack, without ignored
#: points, row by row; rows are labels. ignored_classes: classes that the mIoU leaves out. clean_miou, miou: mIoU of the
#: scene alone, NaN without labelled points. history_counts: for each entry of `history`, the intersections and then the
#: unions of the classes in points, one entry after the other; added up over scenes they give the mIoU of all scenes.
LABELLED = (
    pa.field("n_points", pa.int64(), nullable=False),
    pa.field("clean_confusion", pa.list_(pa.int64()), nullable=False),
    pa.field("confusion", pa.list_(pa.int64()), nullable=False),
    pa.field("ignored_classes", pa.list_(pa.int64()), nullable=False),
    pa.field("clean_miou", pa.float64()),
    pa.field("miou", pa.float64()),
    pa.field("history_counts", pa.list_(pa.int64())),
)


def _matrices(table: pa.Table, name: str) -> Numbers:
    flat = lists(table, name)
    classes = round(flat.shape[1] ** 0.5)
    return flat.reshape(-1, classes, classes)


def _ignored(table: pa.Table) -> list[int]:
    return list(table.column("ignored_classes")[0].as_py()) if table.num_rows else []


def iou_parts(table: pa.Table, name: str) -> Numbers:
    """Return the intersections and unions of every class in the confusion matrices of a column, (rows, 2 C)."""
    return np.concatenate(iou_counts(_matrices(table, name), _ignored(table)), axis=1).astype(np.float64)


def miou(sums: Numbers) -> Numbers:
    """Return the mIoU (...) from sums (..., 2 C) of `iou_parts`."""
    hits, unions = np.split(sums, 2, axis=-1)
    return mean_iou(hits, unions)


def _right_points(table: pa.Table, name: str) -> Numbers:
    matrices = _matrices(table, name)
    return np.stack([matrices.trace(axis1=1, axis2=2), matrices.sum((1, 2))], axis=1).astype(np.float64)


def _of_classes(table: pa.Table, name: str) -> tuple[tuple[float | None, ...], tuple[tuple[int, ...], ...]]:
    total = _matrices(table, name).sum(axis=0)
    ious = class_ious(*iou_counts(total, _ignored(table))).tolist()
    return tuple(None if iou != iou else iou for iou in ious), tuple(map(tuple, total.tolist()))


class SceneSegmentation(Task):
    """Rows and metrics of scenes. Every scene counts as attacked; its decisions are its occupied voxels."""

    name = "segmentation"
    adapter = "lgm_bench.tasks.clouds:Scenes"
    inputs, sample, unit_of_eps = "points", "scene", "m"
    units, decisions = VOXELS
    labels_points = True
    columns: ClassVar[tuple[pa.Field, ...]] = LABELLED
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "clean_miou", "clean mIoU", "Clean mIoU", lambda table: iou_parts(table, "clean_confusion"), miou,
            per="points", per_class=True, tolerance=Tolerance(0.005),
        ),
        Metric(
            "miou", "mIoU", "mIoU", lambda table: iou_parts(table, "confusion"), miou,
            per="points", per_class=True, stronger=-1, before="clean_miou", tolerance=Tolerance(0.03),
        ),
        Metric(
            "clean_point_accuracy", "clean accuracy of points", "Clean acc. of points",
            lambda table: _right_points(table, "clean_confusion"), per="points",
        ),
        Metric(
            "point_accuracy", "accuracy of points", "Acc. of points", lambda table: _right_points(table, "confusion"),
            per="points", stronger=-1, before="clean_point_accuracy",
        ),
        CHANGE_OF_VOXELS,
        *EXECUTED,
        *COST,
    )  # fmt: skip
    main = "miou"

    @classmethod
    def class_record(cls, table: pa.Table, names: Sequence[str]) -> ClassRecord:
        """Return IoUs and confusion matrices before and after the attack."""
        clean_iou, clean_confusion = _of_classes(table, "clean_confusion")
        iou, confusion = _of_classes(table, "confusion")
        return ClassRecord(
            names=tuple(names), clean_iou=clean_iou, iou=iou, clean_confusion=clean_confusion, confusion=confusion
        )
