"""Metrics. Each is declared once, for all code that computes, compares, prints or draws it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from lgm_bench.tasks.columns import Numbers, unit_counts, values


def ratio(sums: Numbers) -> Numbers:
    """Return the first of two sums (..., 2) divided by the second; NaN if that is 0."""
    total = sums[..., 1]
    shares: Numbers = np.divide(sums[..., 0], total, out=np.full(total.shape, np.nan), where=total > 0)
    return shares


@dataclass(frozen=True)
class Tolerance:
    """How much a figure may differ between machines: the largest of three limits.

    Attributes:
        absolute: Difference in the unit of the figure.
        relative: Difference as a share of the figure.
        samples: Number of samples whose result may differ.
    """

    absolute: float
    relative: float = 0.0
    samples: int = 0

    def of(self, value: float, n: int) -> float:
        """Return the tolerance of a figure over n attempts."""
        return max(self.absolute, self.relative * value, self.samples / max(n, 1))


@dataclass(frozen=True)
class Metric:
    """A figure of a cell, computed from a sum over rows, so that rows can be resampled.

    Attributes:
        name: Name in records and files.
        label: Name in sentences.
        heading: Heading of a table column.
        parts: Contribution of each row of a table to the sum, (rows, K).
        value: Figure (...) from sums (..., K); NaN if there is none.
        per: Denominator of a share; "attempts" and "attacked" count rows.
        stronger: -1 if a lower figure means a stronger attack, 1 if a higher one does, 0 if neither does.
        before: Name of the same figure before the attack.
        unit: Unit; empty for shares.
        per_class: Whether a row contributes two numbers per class; otherwise K is 2.
        event: Whether a row contributes two flags: whether an event happened, and whether it could have. Two attacks
            can then be compared by the rows in which it happened under only one of them.
        tolerance: How much machines may differ; None for figures that leaderboards do not compare.
        shown: Whether tables show it even without a tolerance, if it has a value.
        signed: Whether it can be negative.
    """

    name: str
    label: str
    heading: str
    parts: Callable[[pa.Table], Numbers]
    value: Callable[[Numbers], Numbers] = ratio
    per: Literal["attempts", "attacked", "decisions", "points", "iterations"] = "attempts"
    stronger: Literal[-1, 0, 1] = 0
    before: str = ""
    unit: str = ""
    per_class: bool = False
    event: bool = False
    tolerance: Tolerance | None = None
    shown: bool = False
    signed: bool = False

    @property
    def title(self) -> str:
        """The label with a capital letter."""
        return self.label if self.label != self.label.lower() else self.label.capitalize()

    def figure(self, sums: Numbers) -> float | None:
        """Return the figure from sums (K,); None if there is none."""
        value = float(self.value(sums))
        return None if np.isnan(value) else value

    def number(self, value: float | None) -> float | None:
        """Return a figure as tables print it, with shares in percent."""
        return value if value is None or self.unit else 100 * value

    def text(self, value: float) -> str:
        """Return a figure with its unit.

        >>> ACCURACY_LIKE = Metric("accuracy", "accuracy", "Acc.", lambda table: values(table, "correct"))
        >>> ACCURACY_LIKE.text(0.25)
        '25.00%'
        """
        return f"{value:.2f} {self.unit}" if self.unit else f"{value:.2%}"


def share_of(table: pa.Table, happened: Numbers, could: Numbers | None = None) -> Numbers:
    """Return (rows, 2): whether an event happened in a row, and whether it could have (None: always)."""
    could = np.ones(table.num_rows) if could is None else could
    return np.stack([happened, could], axis=1).astype(np.float64)


def _executed(table: pa.Table, *, after: bool) -> Numbers:
    on_before, on_to_off, off_to_on, positions = unit_counts(table).sum(axis=2)
    if not after:
        return np.stack([on_before, positions], axis=1).astype(np.float64)
    return _if_perturbed(table, on_before - on_to_off + off_to_on, positions)


def _changed(table: pa.Table) -> Numbers:
    _, on_to_off, off_to_on, positions = unit_counts(table).sum(axis=2)
    return _if_perturbed(table, on_to_off + off_to_on, positions)


def _if_perturbed(table: pa.Table, counts: Numbers, positions: Numbers) -> Numbers:
    parts: Numbers = np.stack([counts, positions], axis=1) * values(table, "perturbed")[:, None]
    return parts


def _mean(table: pa.Table, name: str, unit: float = 1.0) -> Numbers:
    measured = values(table, name)
    known = ~np.isnan(measured)
    return np.stack([np.where(known, measured, 0.0) / unit, known], axis=1)


ARCHITECTURE_CHANGE = Metric(
    "architecture_change", "architecture change", "Arch. chg.", _changed, per="decisions",
    tolerance=Tolerance(0.002, relative=0.05),
)  # fmt: skip
"""Over the perturbed samples: those that count as attacked if networks decide on layers (SkipNet), all samples if they
decide on positions (DynConv) and for point clouds."""

EXECUTED = (
    Metric(
        "executed_clean", "executed before", "Exec. clean", lambda table: _executed(table, after=False), per="decisions"
    ),
    Metric(
        "executed", "executed after", "Exec.", lambda table: _executed(table, after=True), per="decisions",
        before="executed_clean",
    ),
)  # fmt: skip
"""Shares of the decisions that are on; after the attack, over the perturbed samples."""

COST = (
    Metric(
        "kvoxels", "voxels of an iteration", "kVoxels", lambda table: _mean(table, "voxels", 1000), per="iterations",
        unit="thousand voxels",
    ),
    Metric(
        "gflops", "cost of an iteration", "GFLOPs", lambda table: _mean(table, "gflops"), per="iterations",
        unit="GFLOPs",
    ),
)  # fmt: skip
"""Mean over samples and iterations of gradient attacks on point clouds (Tao et al. 2024, Table VI)."""
