"""Image classification."""

from typing import ClassVar

import numpy as np
import pyarrow as pa

from lgm_bench.tasks.base import Task
from lgm_bench.tasks.columns import Numbers, values
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE, EXECUTED, Metric, Tolerance, ratio, share_of

_FEW = Tolerance(0.005, samples=3)


def _clean_right(table: pa.Table) -> pa.Table:
    return share_of(table, values(table, "clean_prediction") == values(table, "label"))


CLEAN_ACCURACY = Metric("clean_accuracy", "clean accuracy", "Clean acc.", _clean_right, tolerance=_FEW)
ACCURACY = Metric(
    "accuracy", "accuracy", "Acc.", lambda table: share_of(table, values(table, "correct")),
    stronger=-1, before="clean_accuracy", event=True, tolerance=_FEW,
)  # fmt: skip
"""Over all attempts; those that do not count as attacked keep their clean prediction."""
SUCCESS_RATE = Metric(
    "success_rate", "success rate", "Suc.",
    lambda table: share_of(table, values(table, "success"), values(table, "attacked")),
    per="attacked", stronger=1, event=True, tolerance=_FEW,
)  # fmt: skip
"""Share of the samples that count as attacked and fell."""

#: label, clean_prediction, adversarial_prediction: class indices; predictions of the hard network. Without an attack
#: adversarial_prediction repeats the clean one. success: the sample counts as attacked and fell. correct: it counts as
#: correct after the attack.
CLASSIFIED = (
    pa.field("label", pa.int32(), nullable=False),
    pa.field("clean_prediction", pa.int32(), nullable=False),
    pa.field("adversarial_prediction", pa.int32(), nullable=False),
    pa.field("success", pa.bool_(), nullable=False),
    pa.field("correct", pa.bool_(), nullable=False),
)

#: compute_clean, compute_adversarial: multiply-adds that the hard network executes before and after the attack;
#: compute_full: with every decision on. Null if the network does not declare what its gates control.
COMPUTE_COLUMNS = (
    pa.field("compute_clean", pa.float64()),
    pa.field("compute_adversarial", pa.float64()),
    pa.field("compute_full", pa.float64()),
)

MILLION = 1e6


def _compute(table: pa.Table, *, after: bool, saved: bool = False) -> Numbers:
    """Return (rows, 2): the multiply-adds of each row and 1, or with `saved` the saved ones and all; 0 if unknown.

    These are whole numbers, so their sums do not depend on the order of the rows.
    """
    executed, full = (values(table, name) for name in (("compute_clean", "compute_adversarial")[after], "compute_full"))
    known = ~np.isnan(executed) & (values(table, "perturbed") > 0 if after else True)
    parts = [full - executed, full] if saved else [executed, np.ones_like(executed)]
    return np.where(known[:, None], np.stack(parts, axis=1), 0)


def _recovered(table: pa.Table) -> Numbers:
    clean, after, full = (values(table, field.name) for field in COMPUTE_COLUMNS)
    known = ~np.isnan(full) & (values(table, "perturbed") > 0)
    return np.where(known[:, None], np.stack([after - clean, full - clean], axis=1), 0)


def _in_millions(sums: Numbers) -> Numbers:
    return ratio(sums) / MILLION


COMPUTE = (
    Metric(
        "compute_clean", "compute before", "MMACs clean", lambda table: _compute(table, after=False), _in_millions,
        unit="million multiply-adds",
    ),
    Metric(
        "compute_attacked", "compute after", "MMACs", lambda table: _compute(table, after=True), _in_millions,
        before="compute_clean", unit="million multiply-adds", shown=True,
    ),
    Metric(
        "efficacy_clean", "efficacy before", "Efficacy clean", lambda table: _compute(table, after=False, saved=True)
    ),
    Metric(
        "efficacy", "efficacy after", "Efficacy", lambda table: _compute(table, after=True, saved=True),
        before="efficacy_clean",
    ),
    Metric("recovered_compute", "recovered compute", "Recovered", _recovered, signed=True),
)  # fmt: skip
"""Means over images; after the attack, over the perturbed ones.

Efficacy is the saved share of the full network's compute. As in DeepSloth (Hong et al. 2021) it is the area under the
share of finished images as a step function of the share of the cost. Recovered compute is the share of the saving that
the attack undoes, (attacked - clean) / (full - clean); it is negative if the network saves more."""


class ImageClassification(Task):
    """Rows and metrics of images; `Classified.attacked` says which of them count as attacked."""

    name = "images"
    adapter = "lgm_bench.tasks.tensors:Images"
    columns = (*CLASSIFIED, *COMPUTE_COLUMNS)
    metrics: ClassVar[tuple[Metric, ...]] = (
        CLEAN_ACCURACY,
        ACCURACY,
        SUCCESS_RATE,
        ARCHITECTURE_CHANGE,
        *EXECUTED,
        *COMPUTE,
    )
    main = "accuracy"
