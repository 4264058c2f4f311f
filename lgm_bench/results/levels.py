"""What attacks leave of a metric, each with its interval over samples, and the worst case over several attacks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lgm_bench.results.statistics import bootstrap
from lgm_bench.tasks.columns import Numbers
from lgm_bench.tasks.metric import Metric


@dataclass(frozen=True)
class Level:
    """A metric over some samples.

    Attributes:
        value: The metric, a fraction in [0, 1]; NaN if it has none.
        interval: Its bootstrap interval over samples, at `statistics.CONFIDENCE`; None if samples are few or all alike.
        n_samples: Number of images, shapes or scenes.
    """

    value: float
    interval: tuple[float, float] | None = None
    n_samples: int = 0


def level(rows: pa.Table, metric: Metric) -> Level:
    """Return a metric of a cell's rows with its interval."""
    return _level(metric.parts(rows), rows.column("id").to_pylist(), metric)


def worst_case(cells: Sequence[pa.Table], metric: Metric) -> Level | None:
    """Return a metric over the strongest attack on each sample, on the samples that all cells have.

    In targeted cells it is the strongest attack on each sample and target. Scenes are compared by their own mIoU, and
    the mIoU of the worst case is that of all scenes together, as in the tables.

    Args:
        cells: Rows of cells that differ only in the attack.
        metric: The metric by which they are compared.

    Returns:
        The worst case; None for a single cell, or if no sample is in all of them.
    """
    places = [
        {
            key: place
            for place, key in enumerate(zip(*(rows.column(n).to_pylist() for n in ("id", "target")), strict=True))
        }
        for rows in cells
    ]
    shared = [key for key in places[0] if all(key in of_cell for of_cell in places[1:])] if len(cells) > 1 else []
    if not shared:
        return None
    parts = np.stack(
        [metric.parts(rows)[[of_cell[key] for key in shared]] for rows, of_cell in zip(cells, places, strict=True)]
    )
    strength = metric.stronger * metric.value(parts)
    strongest = np.where(np.isnan(strength), -np.inf, strength).argmax(axis=0)
    return _level(parts[strongest, np.arange(len(shared))], [name for name, _ in shared], metric)


def _level(parts: Numbers, ids: Sequence[str], metric: Metric) -> Level:
    """Return the metric of rows (n, K); the rows of one sample stay together in a resample."""
    names, sample = np.unique(np.array(ids), return_inverse=True)
    sums = np.zeros((len(names), parts.shape[1]))
    np.add.at(sums, sample, parts)
    interval = bootstrap(sums, metric.value)
    return Level(float(metric.value(sums.sum(axis=0))), interval, len(names))
