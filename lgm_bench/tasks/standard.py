"""Image classification under the standard evaluation: what it adds to the rows of each image."""

from typing import ClassVar

import numpy as np
import pyarrow as pa

from lgm_bench.tasks.columns import Numbers, values
from lgm_bench.tasks.images import COMPUTE_COLUMNS, ImageClassification
from lgm_bench.tasks.metric import Metric, share_of

#: felled_by: the member that felled the image, "clean" if the network gets it wrong without an attack, null if it
#: withstands. gradients: number of gradients that were computed for it; for one that has fallen, until then.
#: fgm_correct: whether it withstands one run of APGD under FGM. control_correct, control_gradients: whether it
#: withstands the control, and the number of gradients that this took.
STANDARD_COLUMNS = (
    pa.field("felled_by", pa.string()),
    pa.field("gradients", pa.int32(), nullable=False),
    pa.field("fgm_correct", pa.bool_(), nullable=False),
    pa.field("control_correct", pa.bool_(), nullable=False),
    pa.field("control_gradients", pa.int32(), nullable=False),
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


class StandardImages(ImageClassification):
    """Rows and metrics of images under the standard evaluation."""

    name = "lgm_bench.tasks.standard:StandardImages"
    columns = (*ImageClassification.columns[: -len(COMPUTE_COLUMNS)], *STANDARD_COLUMNS, *COMPUTE_COLUMNS)
    metrics: ClassVar[tuple[Metric, ...]] = (
        *ImageClassification.metrics,
        FGM_ACCURACY,
        CONTROL_ACCURACY,
        GRADIENT_ACCURACY,
    )
