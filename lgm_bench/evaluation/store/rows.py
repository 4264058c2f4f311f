"""Rows, one per sample and target. Every number of a record is computed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from lgm_bench.attacks.budgets import Budget
from lgm_bench.errors import ResultError
from lgm_bench.metrics.architecture_change import ChangeCounts
from lgm_bench.tasks.adapter import Adapter
from lgm_bench.tasks.base import Task
from lgm_bench.tasks.columns import COUNTS


@dataclass(frozen=True)
class Outcome:
    """The outcome of one attack on a batch of B samples; tensors are (B,) unless stated otherwise. See `tasks.columns`.

    Attributes:
        ids: Of the samples.
        target: The target class, or None.
        perturbed: bool, whether the attack ran.
        attacked: bool, whether the sample counts as attacked.
        verdict: Columns of the task, by name: tensors (B, ...), or one list for all samples. Columns that may be null
            can be left out.
        distance: Largest change.
        within_bounds: bool.
        clean_loss: Before the attack.
        adversarial_loss: After it.
        counts: Counts of changed decisions; None for a victim without adaptive units.
        effort: Columns on the work that the attack did, B values each; for point clouds iterate, voxels and gflops.
        followed: Columns on every iterate, such as `history`, B values each; None where iterates were not judged.
    """

    ids: Sequence[str]
    target: int | None
    perturbed: Tensor
    attacked: Tensor
    verdict: Mapping[str, Tensor | list[int]]
    distance: Tensor
    within_bounds: Tensor
    clean_loss: Tensor
    adversarial_loss: Tensor
    counts: ChangeCounts | None
    effort: Mapping[str, Sequence[float | str | None]] | None = None
    followed: Mapping[str, Sequence[Sequence[float]]] | None = None

    def table(self, task: type[Task]) -> pa.Table:
        """Return the rows, in the order of the batch."""
        n, schema = len(self.ids), task.schema()
        columns: dict[str, Any] = {field.name: [None] * n for field in schema if field.nullable}
        columns |= {"id": list(self.ids), "target": [self.target] * n}
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        columns |= {name: _column(value, n) for name, value in {**tensors, **self.verdict}.items()}
        columns |= _count_columns(self.counts, n)
        columns |= {**(self.effort or {}), **(self.followed or {})}
        return pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema=schema)


def distances(adapter: Adapter, budget: Budget, inputs: Any, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest distance of each sample's rows (B,), and whether all of them are within bounds, (B,) bool."""
    owner, clean = adapter.owner(inputs), adapter.values(inputs)
    n_samples = int(owner[-1]) + 1
    distance, outside = budget.distance(clean, values), (~budget.within(clean, values)).to(torch.int64)
    farthest = distance.new_zeros(n_samples).scatter_reduce(0, owner, distance, "amax")
    left = outside.new_zeros(n_samples).scatter_reduce(0, owner, outside, "amax")
    return farthest, left == 0


def merged(tables: Sequence[pa.Table], ids: Sequence[str]) -> pa.Table:
    """Return all rows once, in the order of `ids` and then of the targets, if there are any.

    `tables` are the parts of a cell, in any order; a row may be in several.

    Raises:
        ResultError: The rows' ids are not exactly `ids`, or the samples do not all have the same targets.
    """
    position = {sample_id: index for index, sample_id in enumerate(ids)}
    table = pa.concat_tables(tables) if tables else None
    table_ids = table.column("id").to_pylist() if table else []
    found = set(table_ids)
    if table is None or found != set(position):
        missing, foreign = sorted(set(position) - found), sorted(found - set(position))
        raise ResultError(
            f"the rows do not cover the data set: {len(missing)} ids missing {missing[:3]}, {len(foreign)} unknown "
            f"{foreign[:3]}; a data set of your own must yield each sample of its test_sampler() exactly once. "
            "Otherwise delete the cell's folder to compute it again"
        )
    order = np.array([position[sample_id] for sample_id in table_ids], dtype=np.int64)
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
    """Return the mean loss after the attack over the attacked samples among `ids`; None without any."""
    if not ids:
        return None
    chosen = table.filter(pc.and_(pc.is_in(table.column("id"), pa.array(list(ids))), table.column("attacked")))
    mean: float | None = pc.mean(chosen.column("adversarial_loss")).as_py()
    return mean


def _column(values: Tensor | list[int], n: int) -> Any:
    """Return values in a type that Arrow has; it lacks bfloat16."""
    if isinstance(values, list):
        return [values] * n
    known = not values.is_floating_point() or values.dtype in (torch.float32, torch.float64)
    array = (values if known else values.float()).cpu().numpy()
    return array if array.ndim == 1 else list(array.reshape(n, -1))


def _count_columns(counts: ChangeCounts | None, n: int) -> dict[str, object]:
    """Return the columns of n samples' counts, and their shares."""
    if counts is None:
        return {name: [None] * n for name in ("executed_clean", "executed_adversarial", "changed_share", *COUNTS)}
    before, off, on, positions = (value.cpu().numpy() for value in counts)
    total = np.where(positions.sum(1), positions.sum(1), np.nan)  # no decisions, so no share
    return {
        "executed_clean": before.sum(1) / total,
        "executed_adversarial": (before - off + on).sum(1) / total,
        "changed_share": (off + on).sum(1) / total,
        "on_before": list(before),
        "on_to_off": list(off),
        "off_to_on": list(on),
        "positions": list(positions),
    }
