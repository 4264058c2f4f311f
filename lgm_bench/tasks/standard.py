"""The tasks under the standard evaluation: what it adds to the rows of each sample."""

from typing import ClassVar

import numpy as np
import pyarrow as pa

from lgm_bench.tasks.columns import Numbers, values
from lgm_bench.tasks.images import COMPUTE_COLUMNS, ImageClassification
from lgm_bench.tasks.metric import Metric, share_of
from lgm_bench.tasks.point_clouds import SceneSegmentation, ShapeClassification, iou_parts, miou

#: felled_by: the member that felled the sample, "clean" if the network gets it wrong without an attack, null if it
#: withstands. For scenes, the member under which the mIoU is lowest, null if none lowers it. gradients: number of
#: gradients that were computed for the sample; for one that has fallen, until then. control_gradients: the same for the
#: control.
_EFFORT = (
    pa.field("felled_by", pa.string()),
    pa.field("gradients", pa.int32(), nullable=False),
    pa.field("control_gradients", pa.int32(), nullable=False),
)
#: fgm_correct, control_correct: whether the sample withstands one run under FGM, and the control.
STANDARD_COLUMNS = (
    *_EFFORT[:2],
    pa.field("fgm_correct", pa.bool_(), nullable=False),
    pa.field("control_correct", pa.bool_(), nullable=False),
    _EFFORT[2],
)
#: fgm_confusion, control_confusion: as `confusion`, under one run of FGM, and under the control.
SCENE_COLUMNS = (
    *_EFFORT,
    pa.field("fgm_confusion", pa.list_(pa.int64()), nullable=False),
    pa.field("control_confusion", pa.list_(pa.int64()), nullable=False),
)
Shown = tuple[tuple[str, str], ...]
"""Metrics of a summary by name, with their labels."""
ACCURACIES: Shown = (
    ("clean_accuracy", "clean"),
    ("fgm_accuracy", "FGM, one run"),
    ("control_accuracy", "control: FGM with as many gradients"),
    ("gradient_accuracy", "worst case of the gradients"),
    ("accuracy", "worst case"),
)
MIOUS: Shown = (
    ("clean_miou", "clean mIoU"),
    ("fgm_miou", "FGM, one run"),
    ("control_miou", "control: FGM with as many gradients"),
    ("miou", "worst case"),
)

FGM_ACCURACY = Metric(
    "fgm_accuracy", "accuracy under FGM", "FGM", lambda table: share_of(table, values(table, "fgm_correct"))
)
CONTROL_ACCURACY = Metric(
    "control_accuracy", "accuracy under the control", "Control",
    lambda table: share_of(table, values(table, "control_correct")),
)  # fmt: skip
GRADIENT_ACCURACY = Metric(
    "gradient_accuracy", "accuracy under the members that follow gradients", "Gradients",
    lambda table: share_of(table, by_gradients(table)),
)  # fmt: skip
"""Square alone may fell images too, but the control does not have it."""


def by_gradients(table: pa.Table) -> Numbers:
    """Return for each row whether the image withstands every member but Square."""
    return np.array([member in (None, "square") for member in table.column("felled_by").to_pylist()])


CLASSIFIED_METRICS = (FGM_ACCURACY, CONTROL_ACCURACY, GRADIENT_ACCURACY)
FGM_MIOU = Metric("fgm_miou", "mIoU under FGM", "FGM", lambda table: iou_parts(table, "fgm_confusion"), miou)
CONTROL_MIOU = Metric(
    "control_miou", "mIoU under the control", "Control", lambda table: iou_parts(table, "control_confusion"), miou
)


class StandardImages(ImageClassification):
    """Rows and metrics of images under the standard evaluation.

    Attributes:
        shown: Metrics of the summary.
        compared_with_control: The metrics of the control, and of the members that it is compared with.
    """

    name = "lgm_bench.tasks.standard:StandardImages"
    columns = (*ImageClassification.columns[: -len(COMPUTE_COLUMNS)], *STANDARD_COLUMNS, *COMPUTE_COLUMNS)
    metrics: ClassVar[tuple[Metric, ...]] = (*ImageClassification.metrics, *CLASSIFIED_METRICS)
    shown: ClassVar[Shown] = ACCURACIES
    compared_with_control: ClassVar[tuple[str, str]] = ("control_accuracy", "gradient_accuracy")


class StandardShapes(ShapeClassification):
    """Rows and metrics of shapes under the standard evaluation; see `StandardImages`."""

    name = "lgm_bench.tasks.standard:StandardShapes"
    columns = (*ShapeClassification.columns, *STANDARD_COLUMNS)
    metrics: ClassVar[tuple[Metric, ...]] = (*ShapeClassification.metrics, *CLASSIFIED_METRICS)
    shown: ClassVar[Shown] = ACCURACIES
    compared_with_control: ClassVar[tuple[str, str]] = ("control_accuracy", "gradient_accuracy")


class StandardScenes(SceneSegmentation):
    """Rows and metrics of scenes under the standard evaluation; see `StandardImages`.

    The worst case of a scene is the iterate of all members at which its own mIoU is lowest. The figure is the mIoU of
    these iterates' confusion matrices, summed over all scenes.
    """

    name = "lgm_bench.tasks.standard:StandardScenes"
    columns = (*SceneSegmentation.columns, *SCENE_COLUMNS)
    metrics: ClassVar[tuple[Metric, ...]] = (*SceneSegmentation.metrics, FGM_MIOU, CONTROL_MIOU)
    shown: ClassVar[Shown] = MIOUS
    compared_with_control: ClassVar[tuple[str, str]] = ("control_miou", "miou")
