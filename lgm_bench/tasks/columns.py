"""Columns of the rows of every task, and how to read them as arrays."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Numbers = np.ndarray

COUNTS = ("on_before", "on_to_off", "off_to_on", "positions")

#: One row per attack: a sample, or in targeted cells a sample and a target.
#:
#: target: the target class, null in untargeted cells. perturbed: whether the attack ran. attacked: whether it counts.
IDENTITY = (
    pa.field("id", pa.string(), nullable=False),
    pa.field("target", pa.int32()),
    pa.field("perturbed", pa.bool_(), nullable=False),
    pa.field("attacked", pa.bool_(), nullable=False),
)

#: distance: largest change of an intensity, or of a point along an axis in metres. within_bounds: whether the change is
#: within the budget. clean_loss, adversarial_loss: cross-entropy with the label on the hard network; in scenes the mean
#: over the labelled points. executed_*, changed_share: shares of the decisions of all adaptive units, null without such
#: units. on_before, on_to_off, off_to_on, positions: per unit, see `ChangeCounts`; for point clouds see `voxel_counts`.
#: iterate, voxels, gflops: null for images; index of the kept iterate (0 is the clean cloud), and mean number of voxels
#: and GFLOPs per iteration. history: the hard network's verdict after 0 (clean), 1, 2, ... iterations, for every
#: iterate and not only the kept one; null if they were not judged. For images and shapes it is 1 if the sample
#: withstands (untargeted: the prediction is correct; targeted: it is not the target) and 0 if not, with a single entry
#: if the attack did not run. For scenes it is the mIoU of the scene.
MEASURED = (
    pa.field("distance", pa.float32(), nullable=False),
    pa.field("within_bounds", pa.bool_(), nullable=False),
    pa.field("clean_loss", pa.float32(), nullable=False),
    pa.field("adversarial_loss", pa.float32(), nullable=False),
    pa.field("executed_clean", pa.float64()),
    pa.field("executed_adversarial", pa.float64()),
    pa.field("changed_share", pa.float64()),
    *(pa.field(name, pa.list_(pa.int32())) for name in COUNTS),
    pa.field("iterate", pa.int32()),
    pa.field("voxels", pa.float64()),
    pa.field("gflops", pa.float64()),
    pa.field("history", pa.list_(pa.float32())),
)


def values(table: pa.Table, name: str) -> Numbers:
    """Return a column (rows,) as float64, with NaN for null."""
    column: Numbers = table.column(name).cast(pa.float64()).to_numpy()
    return column


def lists(table: pa.Table, name: str) -> Numbers:
    """Return a column of lists as (rows, K) int64; shorter lists are filled up with 0, and K is 0 if all are null."""
    column = table.column(name).combine_chunks()
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    padded = np.zeros((len(column), int(lengths.max(initial=0))), np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = column.flatten().to_numpy()
    return padded


def unit_counts(table: pa.Table) -> Numbers:
    """Return `COUNTS` of every row and adaptive unit, (4, rows, U) int64; U is 0 for victims without such units."""
    return np.stack([lists(table, name) for name in COUNTS])
