"""Counts over rows that can be added up, and the figures that they make."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lgm_bench.evaluation.store.effort import Effort
from lgm_bench.evaluation.store.record import ArchitectureRecord, ChangeSummary
from lgm_bench.evaluation.store.rows import COUNT_COLUMNS, unit_counts

Counts = np.ndarray


def _no_units() -> Counts:
    return np.zeros((4, 0), np.int64)


@dataclass
class Tally:
    """Integer counts over rows: the same whatever the order, the batches and the processes that they came from.

    Attributes:
        attempts: Rows.
        clean_correct: Rows whose image the clean network classifies correctly.
        correct: Rows that count as correct after the attack.
        attacked: Rows that count as attacked.
        fallen: Those of them that fell.
        perturbed: Rows whose image the attack ran on.
        out_of_bounds: Rows whose adversarial image left its ball or the intensity range.
        among_all: (4, U): on_before, on_to_off, off_to_on and positions, summed over all rows.
        among_attacked: The same over the attacked rows.
        effort: Of point clouds.
    """

    attempts: int = 0
    clean_correct: int = 0
    correct: int = 0
    attacked: int = 0
    fallen: int = 0
    perturbed: int = 0
    out_of_bounds: int = 0
    among_all: Counts = field(default_factory=_no_units)
    among_attacked: Counts = field(default_factory=_no_units)
    effort: Effort = field(default_factory=Effort)

    @classmethod
    def of(cls, table: pa.Table) -> "Tally":
        """Count the rows of a table with the columns of `rows.SCHEMA`."""

        def count(column: pa.ChunkedArray) -> int:
            return int(pc.sum(column).as_py() or 0)

        return cls(
            attempts=table.num_rows,
            clean_correct=count(pc.equal(table.column("clean_prediction"), table.column("label"))),
            correct=count(table.column("correct")),
            attacked=count(table.column("attacked")),
            fallen=count(table.column("success")),
            perturbed=count(table.column("perturbed")),
            out_of_bounds=table.num_rows - count(table.column("within_bounds")),
            among_all=unit_sums(table, np.ones(table.num_rows, bool)),
            among_attacked=unit_sums(table, table.column("attacked").to_numpy()),
            effort=Effort.of(table),
        )

    def __add__(self, other: "Tally") -> "Tally":
        if not self.attempts or not other.attempts:
            return other if not self.attempts else self
        return Tally(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    @property
    def clean_accuracy(self) -> float:
        """Share of the rows that the clean network classifies correctly."""
        return self.clean_correct / self.attempts

    @property
    def accuracy(self) -> float:
        """Share of the rows that count as correct after the attack."""
        return self.correct / self.attempts

    @property
    def success_rate(self) -> float | None:
        """Share of the attacked rows that fell; None if there are none."""
        return self.fallen / self.attacked if self.attacked else None

    def architecture(self) -> ArchitectureRecord | None:
        """Return how the architecture changed; None for a victim without adaptive units."""
        if not self.among_all.size:
            return None
        everything = self.perturbed == self.attempts
        perturbed = self.among_all if everything else self.among_attacked
        return ArchitectureRecord(
            defined_over="all" if (self.among_all[3] > self.attempts).any() else "attacked",
            attacked=summary(self.among_attacked, self.attacked),
            all_images=summary(self.among_all, self.attempts) if everything else None,
            executed_clean=executed(self.among_all, after=False),
            executed_adversarial=executed(perturbed, after=True) if self.perturbed else None,
        )

    def figures(self) -> dict[str, Any]:
        """Return what a record says of the rows, by the names of its fields."""
        return {
            "n_attempts": self.attempts,
            "n_attacked": self.attacked,
            "clean_accuracy": self.clean_accuracy,
            "accuracy": self.accuracy,
            "success_rate": self.success_rate,
            "architecture": self.architecture(),
            "cost": self.effort.record(),
        }

    def running(self) -> dict[str, float]:
        """Return the figures for a live view, those that have a value."""
        if not self.attempts:
            return {}
        architecture = self.architecture()
        change = architecture.change if architecture else None
        figures = {
            "clean_accuracy": self.clean_accuracy,
            "accuracy": self.accuracy,
            "success_rate": self.success_rate,
            "architecture_change": change.ratio if change else None,
        }
        return {name: value for name, value in figures.items() if value is not None}


def unit_sums(table: pa.Table, chosen: np.ndarray) -> Counts:
    """Return (4, U) counts of each unit, summed over the chosen rows (bool)."""
    return np.stack([unit_counts(table, name)[chosen].sum(axis=0) for name in COUNT_COLUMNS])


def executed(counts: Counts, *, after: bool) -> float:
    """Return the share of the decisions (4, U) that are on, before or after the attack."""
    on_before, on_to_off, off_to_on, positions = counts.sum(axis=1).tolist()
    return float((on_before - on_to_off + off_to_on if after else on_before) / positions)


def summary(counts: Counts, n_samples: int) -> ChangeSummary | None:
    """Return what (4, U) counts of some samples say of the change; None without samples."""
    if not n_samples:
        return None
    _, on_to_off, off_to_on, positions = counts
    total = positions.sum()
    return ChangeSummary(
        n_samples=n_samples,
        ratio=float((on_to_off + off_to_on).sum() / total),
        on_to_off=float(on_to_off.sum() / total),
        off_to_on=float(off_to_on.sum() / total),
        per_unit=tuple(((on_to_off + off_to_on) / positions).tolist()),
    )
