"""Sums over rows, and the figures of a record that follow from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.store.record import CellResult, UnitRecord
from lgm_bench.tasks.base import Task, task_of
from lgm_bench.tasks.columns import unit_counts, values
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE


@dataclass(frozen=True)
class Tally:
    """Sums over rows, which can be added up in any order.

    Attributes:
        task: The rows' task.
        sums: (K,) for each of its metrics, by name.
    """

    task: type[Task]
    sums: dict[str, np.ndarray]

    @classmethod
    def of(cls, table: pa.Table) -> "Tally":
        """Add up the rows of a table with the schema of a task."""
        task = task_of(table)
        return cls(task, {metric.name: metric.parts(table).sum(axis=0) for metric in task.metrics})

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.task, {name: sums + other.sums[name] for name, sums in self.sums.items()})

    def figures(self) -> dict[str, float | None]:
        """Return the figure of every metric, by name; None where it has no value."""
        return {metric.name: metric.figure(self.sums[metric.name]) for metric in self.task.metrics}


def total(tables: Sequence[pa.Table]) -> Tally | None:
    """Add up the rows of several tables of one cell; None without any."""
    return reduce(add, map(Tally.of, tables)) if tables else None


def figures_of(table: pa.Table, cell: Cell, class_names: Sequence[str] = ()) -> dict[str, Any]:
    """Return the fields of a record that follow from all rows of a cell.

    With an active set there is no architecture change, since the attack leaves a sample alone once it has succeeded.
    """
    task, metrics = task_of(table), Tally.of(table).figures()
    if cell.attack.active_set:
        metrics[ARCHITECTURE_CHANGE.name] = None
    return {
        "task": task.name,
        "n_attempts": table.num_rows,
        "n_attacked": pc.sum(table.column("attacked")).as_py() or 0,
        "metrics": metrics,
        "units": unit_record(table),
        "classes": task.class_record(table, class_names),
    }


def check_record(result: CellResult, table: pa.Table) -> None:
    """Check that a record agrees with all rows of its cell.

    Raises:
        ResultError: It does not; the message names the first difference.
    """
    counted: dict[str, Any] = {"n_samples": pc.count_distinct(table.column("id")).as_py()}
    counted |= figures_of(table, result.cell, result.classes.names if result.classes else ())
    counted |= {f"metrics {name}": value for name, value in counted.pop("metrics").items()}
    for name, value in counted.items():
        recorded = result.metrics[name.removeprefix("metrics ")] if " " in name else getattr(result, name)
        close = isinstance(value, float) and isinstance(recorded, float) and math.isclose(value, recorded, rel_tol=1e-9)
        if not close and value != recorded:
            raise ResultError(f"{name} is {recorded} in the record and {value} in the rows")


def unit_sums(table: pa.Table) -> np.ndarray:
    """Return (4, U) counts (`tasks.columns.COUNTS`) of each adaptive unit, summed over the perturbed samples."""
    sums: np.ndarray = unit_counts(table)[:, values(table, "perturbed") > 0].sum(axis=1)
    return sums


def unit_record(table: pa.Table) -> UnitRecord | None:
    """Return how the adaptive units changed; None without any units, or if nothing was perturbed."""
    counts, n_samples = unit_sums(table), pc.sum(table.column("perturbed")).as_py()
    _, on_to_off, off_to_on, positions = counts
    if not positions.sum() or not n_samples:
        return None
    return UnitRecord(
        n_samples=n_samples,
        on_to_off=float(on_to_off.sum() / positions.sum()),
        off_to_on=float(off_to_on.sum() / positions.sum()),
        per_unit=tuple(((on_to_off + off_to_on) / np.maximum(positions, 1)).tolist()),
    )
