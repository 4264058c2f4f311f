"""Rows of scenes whose points are labelled: a confusion matrix before and after the attack, for every scene."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from torch import Tensor

from lgm_bench.evaluation.store.rows import COUNT_COLUMNS, HISTORY, POINT_COLUMNS, as_array, count_columns
from lgm_bench.metrics.architecture_change import ChangeCounts

#: One row a scene.
#:
#: clean_confusion, confusion: the hard network's confusion matrix before and after the attack, (C, C) row by row, rows
#: the labels, without ignored points. ignored_classes: classes that take no part in the mIoU. clean_miou, miou: of
#: the scene. distance: largest move of a point along an axis, metres. clean_loss, adversarial_loss: mean cross-entropy
#: of the labelled points. on_before, on_to_off, off_to_on, positions: voxels before the attack, those that
#: disappeared, those that appeared, all of them; one unit.
SCENE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("n_points", pa.int64(), nullable=False),
        pa.field("clean_confusion", pa.list_(pa.int64()), nullable=False),
        pa.field("confusion", pa.list_(pa.int64()), nullable=False),
        pa.field("ignored_classes", pa.list_(pa.int64()), nullable=False),
        pa.field("clean_miou", pa.float64()),
        pa.field("miou", pa.float64()),
        pa.field("distance", pa.float32(), nullable=False),
        pa.field("within_bounds", pa.bool_(), nullable=False),
        pa.field("clean_loss", pa.float32(), nullable=False),
        pa.field("adversarial_loss", pa.float32(), nullable=False),
        pa.field("changed_share", pa.float64()),
        *(pa.field(name, pa.list_(pa.int32())) for name in COUNT_COLUMNS),
        *POINT_COLUMNS,
        HISTORY,
    ]
)


@dataclass(frozen=True)
class SceneOutcome:
    """What an attack did to a batch of B scenes; see `SCENE_SCHEMA`.

    Attributes:
        ids: Scene ids.
        n_points: (B,) int64.
        clean_confusion: (B, C, C) int64.
        confusion: (B, C, C) int64.
        ignored_classes: Classes that take no part in the mIoU.
        clean_miou: (B,), NaN for a scene without labelled points.
        miou: (B,).
        distance: (B,) metres.
        within_bounds: (B,) bool.
        clean_loss: (B,).
        adversarial_loss: (B,).
        counts: Voxels as the decisions of one unit.
        effort: `rows.POINT_COLUMNS`, each of B values.
        history: See `rows.HISTORY`.
    """

    ids: Sequence[str]
    n_points: Tensor
    clean_confusion: Tensor
    confusion: Tensor
    ignored_classes: Sequence[int]
    clean_miou: Tensor
    miou: Tensor
    distance: Tensor
    within_bounds: Tensor
    clean_loss: Tensor
    adversarial_loss: Tensor
    counts: ChangeCounts
    effort: Mapping[str, Sequence[float | None]]
    history: Sequence[Sequence[float]]

    def table(self) -> pa.Table:
        """Return the rows, in the order of the batch."""
        n = len(self.ids)
        columns: dict[str, object] = {"id": list(self.ids), "ignored_classes": [list(self.ignored_classes)] * n}
        columns["history"] = self.history
        for name in ("clean_confusion", "confusion"):
            columns[name] = list(getattr(self, name).flatten(1).cpu().numpy())
        for name in ("n_points", "clean_miou", "miou", "distance", "within_bounds", "clean_loss", "adversarial_loss"):
            columns[name] = as_array(getattr(self, name))
        columns |= count_columns(self.counts, n)
        columns |= {name: list(values) for name, values in self.effort.items()}
        arrays = {field.name: pa.array(columns[field.name], field.type) for field in SCENE_SCHEMA}
        return pa.table(arrays, schema=SCENE_SCHEMA)


def confusion_sum(table: pa.Table, column: str) -> np.ndarray:
    """Return the confusion matrix (C, C) int64 of all scenes of a table."""
    lists = table.column(column).combine_chunks()
    sums = lists.flatten().to_numpy().reshape(len(lists), -1).sum(axis=0)
    classes = round(len(sums) ** 0.5)
    matrix: np.ndarray = sums.reshape(classes, classes)
    return matrix
