"""Image classification."""

import pyarrow as pa

from lgm_bench.tasks.base import Task
from lgm_bench.tasks.columns import values
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE, EXECUTED, Metric, Tolerance, share_of

_FEW = Tolerance(0.005, samples=3)


def _clean_right(table: pa.Table) -> pa.Table:
    return share_of(table, values(table, "clean_prediction") == values(table, "label"))


CLEAN_ACCURACY = Metric("clean_accuracy", "clean accuracy", "Clean acc.", _clean_right, tolerance=_FEW)
ACCURACY = Metric(
    "accuracy", "accuracy", "Acc.", lambda table: share_of(table, values(table, "correct")),
    stronger=-1, before="clean_accuracy", event=True, tolerance=_FEW,
)  # fmt: skip
"""Over all attempts; one that does not count as attacked keeps its clean prediction."""
SUCCESS_RATE = Metric(
    "success_rate", "success rate", "Suc.",
    lambda table: share_of(table, values(table, "success"), values(table, "attacked")),
    per="attacked", stronger=1, event=True, tolerance=_FEW,
)  # fmt: skip
"""Share of the samples that count as attacked and fell."""

#: label, clean_prediction, adversarial_prediction: class indices, the predictions by the hard network;
#: adversarial_prediction repeats the clean one where the sample was not perturbed. success: the sample counts and fell.
#: correct: it counts as correct after the attack.
CLASSIFIED = (
    pa.field("label", pa.int32(), nullable=False),
    pa.field("clean_prediction", pa.int32(), nullable=False),
    pa.field("adversarial_prediction", pa.int32(), nullable=False),
    pa.field("success", pa.bool_(), nullable=False),
    pa.field("correct", pa.bool_(), nullable=False),
)


class ImageClassification(Task):
    """An image counts as attacked if the hard network classifies it correctly; with a target, see `AttackStage`."""

    name = "images"
    adapter = "lgm_bench.tasks.tensors:Images"
    columns = CLASSIFIED
    metrics = (CLEAN_ACCURACY, ACCURACY, SUCCESS_RATE, ARCHITECTURE_CHANGE, *EXECUTED)
    main = "accuracy"
