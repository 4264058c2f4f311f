"""Rows of classifiers: what happened to every image or shape, from which every number can be computed again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from lgm_bench.errors import ResultError
from lgm_bench.metrics.architecture_change import ChangeCounts

COUNT_COLUMNS = ("on_before", "on_to_off", "off_to_on", "positions")

POINT_COLUMNS = [
    pa.field("iterate", pa.int32()),
    pa.field("voxels", pa.float64()),
    pa.field("gflops", pa.float64()),
]
"""Of point clouds, else null: which of the attack's iterates was kept (0 is the clean cloud), and the mean voxels and
GFLOPs of its iterations."""

HISTORY = pa.field("history", pa.list_(pa.float32()))
"""The hard network after 0 (clean), 1, 2, ... iterations, whatever iterate was kept in the end; null where nobody
looked. Images and shapes: 1 where it withstands (an untargeted attack: is right; a targeted one: does not predict the
target), else 0; one entry where the attack did not run. Scenes: the scene's mIoU."""

#: One row an attack: an image or shape, or in targeted cells an image and a target.
#:
#: label, target, clean_prediction, adversarial_prediction: class indices, the predictions by the hard network; target
#: is null in untargeted cells, adversarial_prediction repeats the clean one where the image was not perturbed.
#: perturbed: the attack ran. attacked: it counts. success: it counts and the image fell. correct: counts as correct
#: after the attack. distance: L-infinity norm of the perturbation, intensities. clean_loss, adversarial_loss:
#: cross-entropy with the label on the hard network. executed_*, changed_share: shares of the adaptive units'
#: decisions, null without such units. on_before, on_to_off, off_to_on, positions: see `ChangeCounts`, by unit.
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("target", pa.int32()),
        pa.field("clean_prediction", pa.int32(), nullable=False),
        pa.field("adversarial_prediction", pa.int32(), nullable=False),
        pa.field("perturbed", pa.bool_(), nullable=False),
        pa.field("attacked", pa.bool_(), nullable=False),
        pa.field("success", pa.bool_(), nullable=False),
        pa.field("correct", pa.bool_(), nullable=False),
        pa.field("distance", pa.float32(), nullable=False),
        pa.field("within_bounds", pa.bool_(), nullable=False),
        pa.field("clean_loss", pa.float32(), nullable=False),
        pa.field("adversarial_loss", pa.float32(), nullable=False),
        pa.field("executed_clean", pa.float64()),
        pa.field("executed_adversarial", pa.float64()),
        pa.field("changed_share", pa.float64()),
        *(pa.field(name, pa.list_(pa.int32())) for name in COUNT_COLUMNS),
        *POINT_COLUMNS,
        HISTORY,
    ]
)


@dataclass(frozen=True)
class Outcome:
    """What one attack did to a batch; every tensor is (B,) but the counts.

    Attributes:
        ids: Sample ids.
        target: Class that was the target, or None.
        counts: None for a victim without adaptive units.
        effort: Of point clouds: `POINT_COLUMNS`, each of B values.
        history: See `HISTORY`; None where nobody looked.
    """

    ids: Sequence[str]
    label: Tensor
    target: int | None
    clean_prediction: Tensor
    adversarial_prediction: Tensor
    perturbed: Tensor
    attacked: Tensor
    success: Tensor
    correct: Tensor
    distance: Tensor
    within_bounds: Tensor
    clean_loss: Tensor
    adversarial_loss: Tensor
    counts: ChangeCounts | None
    effort: Mapping[str, Sequence[float | None]] | None = None
    history: Sequence[Sequence[float]] | None = None

    def table(self) -> pa.Table:
        """Return the rows, in the order of the batch."""
        n = len(self.ids)
        columns: dict[str, object] = {"id": list(self.ids), "target": [self.target] * n}
        columns |= {name: as_array(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        columns |= count_columns(self.counts, n)
        columns |= {field.name: self.effort[field.name] if self.effort else [None] * n for field in POINT_COLUMNS}
        columns["history"] = [None] * n if self.history is None else self.history
        return pa.table({field.name: pa.array(columns[field.name], field.type) for field in SCHEMA}, schema=SCHEMA)


def as_array(values: Tensor) -> np.ndarray:
    """Return values as numpy and Arrow have them: neither knows all of torch's floating point numbers."""
    known = not values.is_floating_point() or values.dtype in (torch.float32, torch.float64)
    return (values if known else values.float()).cpu().numpy()


def unit_counts(table: pa.Table, column: str) -> np.ndarray:
    """Return a count column as (rows, U) int64; U is 0 for victims without adaptive units."""
    lists = table.column(column).combine_chunks()
    values = lists.flatten().to_numpy().astype(np.int64)
    return values.reshape(len(lists), -1) if len(values) else np.zeros((len(lists), 0), np.int64)


def merged(tables: Sequence[pa.Table], ids: Sequence[str]) -> pa.Table:
    """Return all rows once, in the order of `ids` and then of the targets, if there are any.

    Args:
        tables: Parts of a cell, in any order; a row may be in several.
        ids: Every sample id of the cell, in order.

    Raises:
        ResultError: The rows' ids are not exactly `ids`, or the samples do not all have the same targets.
    """
    position = {sample_id: index for index, sample_id in enumerate(ids)}
    table = pa.concat_tables(tables or [SCHEMA.empty_table()])
    table_ids = table.column("id").to_pylist()
    found = set(table_ids)
    if found != set(position):
        missing, foreign = sorted(set(position) - found), sorted(found - set(position))
        raise ResultError(
            f"the rows do not cover the data set: {len(missing)} ids missing {missing[:3]}, "
            f"{len(foreign)} unknown {foreign[:3]}; delete the cell's folder to compute it again"
        )
    order = np.array([position[sample_id] for sample_id in table_ids], dtype=np.int64)
    targets = np.zeros(len(order), np.int64)
    if "target" in table.column_names:
        targets = table.column("target").fill_null(-1).to_numpy().astype(np.int64)
    keys, first = np.unique(np.stack([order, targets], axis=1), axis=0, return_index=True)
    n_targets = len(np.unique(targets))
    if len(keys) != len(ids) * n_targets:
        raise ResultError(
            f"{len(ids)} samples with {n_targets} targets each should have {len(ids) * n_targets} rows, not "
            f"{len(keys)}; delete the cell's folder to compute it again"
        )
    return table.take(pa.array(first))


def loss_of(table: pa.Table, ids: Sequence[str]) -> float | None:
    """Return the mean loss after the attack of those of some samples that were attacked; None without any."""
    if not ids:
        return None
    chosen = table.filter(pc.and_(pc.is_in(table.column("id"), pa.array(list(ids))), table.column("attacked")))
    mean: float | None = pc.mean(chosen.column("adversarial_loss")).as_py()
    return mean


def count_columns(counts: ChangeCounts | None, n: int) -> dict[str, object]:
    """Return the columns of n samples' counts, and the shares that they make."""
    if counts is None:
        names = ("executed_clean", "executed_adversarial", "changed_share", *COUNT_COLUMNS)
        return {name: [None] * n for name in names}
    before, off, on = (value.cpu().numpy() for value in counts[:3])
    positions = np.broadcast_to(counts.positions.cpu().numpy(), before.shape)  # the same for all images
    total = positions.sum(1)
    return {
        "executed_clean": before.sum(1) / total,
        "executed_adversarial": (before - off + on).sum(1) / total,
        "changed_share": (off + on).sum(1) / total,
        "on_before": list(before),
        "on_to_off": list(off),
        "off_to_on": list(on),
        "positions": list(positions),
    }
