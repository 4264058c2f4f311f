"""How certain it is that two gradients differ: each arm against its baseline, on the same samples."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT
from lgm_bench.evaluation.store.rows import merged
from lgm_bench.results.frame import lines_of
from lgm_bench.results.reading import Line, alike, baseline_of, in_order, read_rows
from lgm_bench.tasks.base import task_named
from lgm_bench.tasks.metric import Metric

log = logging.getLogger(__name__)

RESAMPLES, CONFIDENCE, SEED = 10_000, 0.95, 0
TUNED = ("step", "steps", "relation", "loss")
"""Settings in which a baseline and its arm may differ, since the released attacks on scenes tune them per gradient."""
OF_A_GRADIENT = ("gradient", "slope", "input_slope", "output_slope", "floor_slope")
SAME = ("checkpoint_sha256", "data_sha256", "content_sha256", "precision", "backend")
"""Columns in which an arm and its baseline must agree, besides those of the cell itself."""
ALPHA = 0.05
"""Corrected p-value below which a difference counts as significant."""
FEWEST = 5
"""Fewest samples for an interval; resampling fewer says nothing about other samples."""
AT_ONCE = 500
"""Resamples drawn at once, which limits memory for thousands of scenes."""

Numbers = np.ndarray
Value = Callable[[Numbers], Numbers]
"""Maps sums over samples (..., K) to the measure (...)."""


@dataclass(frozen=True)
class Comparison:
    """Two cells that differ in the gradient, and at most in `TUNED`, compared on the samples that they share.

    Attributes:
        baseline: Line of the table of results under the baseline gradient.
        arm: Line under the other gradient.
        metric: The compared metric.
        n_samples: Number of images, shapes or scenes.
        baseline_value: Metric under the baseline, a fraction in [0, 1].
        arm_value: Metric under the arm.
        difference: Arm minus baseline, a fraction; `metric.stronger` gives the sign of a stronger attack.
        interval: Bootstrap interval of the difference over samples, at `CONFIDENCE`; if None, `note` gives the reason.
        only_baseline: Number of attempts that succeed under the baseline only; None for scenes.
        only_arm: Number of attempts that succeed under the arm only.
        p_value: Two-sided p-value of `test`; None if the sign-flip test has too few samples.
        test: "McNemar" of `only_baseline` and `only_arm`; "sign-flip" for scenes and samples with several attempts.
        p_holm: `p_value` after Holm's correction over all comparisons of one table.
        note: Reason why there is no interval, or empty.
    """

    baseline: Line
    arm: Line
    metric: Metric
    n_samples: int
    baseline_value: float
    arm_value: float
    difference: float
    interval: tuple[float, float] | None
    only_baseline: int | None
    only_arm: int | None
    p_value: float | None
    test: str
    p_holm: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """ "stronger" or "weaker" if the arm is significantly so as an attack, else "undecided"."""
        if self.p_holm is None or self.p_holm >= ALPHA:
            return "undecided"
        return "stronger" if self.difference * self.metric.stronger > 0 else "weaker"


def compare_arms(frame: pd.DataFrame) -> list[Comparison]:
    """Compare each arm with the baseline of its group, in the order of the results, with Holm's correction over all.

    The baseline is the gradient that the cells name, else `BASELINE`, else the first gradient of the group. Among
    several cells of the baseline, the one that agrees with the arm in most of `TUNED` counts. Pairs whose rows are
    missing or damaged are left out; the log names them. The frame needs the folders of the cells.
    """
    lines = [line for line in lines_of(frame) if line["gradient"] != NO_GRADIENT]
    comparisons = []
    for group in alike(lines, *OF_A_GRADIENT, *TUNED, also=SAME):
        baseline = baseline_of(line["baseline"] for line in group)
        first = in_order((line["gradient"] for line in group), baseline)[0]
        for arm in (line for line in group if line["gradient"] != first):
            candidates = [line for line in group if line["gradient"] == first and _same_code(line, arm)]
            if not candidates:
                continue
            nearest = max(candidates, key=lambda line: sum(line[name] == arm[name] for name in TUNED))
            try:
                comparisons.append(compare_pair(nearest, arm))
            except ResultError as error:
                log.warning("%s is not compared with its baseline: %s", Path(arm["folder"]).name, error)
    corrected = holm([pair.p_value for pair in comparisons])
    return [replace(pair, p_holm=p) for pair, p in zip(comparisons, corrected, strict=True)]


def _same_code(first: Line, second: Line) -> bool:
    """Return whether the source files that both cells used are the same."""
    ours, theirs = first["sources"], second["sources"]
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def compare_pair(baseline: Line, arm: Line) -> Comparison:
    """Return the comparison of two cells, without Holm's correction.

    Raises:
        ResultError: Rows are missing or damaged, or the two cells have different samples.
    """
    lines = (baseline, arm)
    before, after = (read_rows(Path(line["folder"]), line["fingerprint"], line["data_sha256"]) for line in lines)
    ids = list(dict.fromkeys(before.column("id").to_pylist()))
    before, after = merged([before], ids), merged([after], ids)
    names = " and ".join(Path(line["folder"]).name for line in lines)
    if any(before.column(key).combine_chunks() != after.column(key).combine_chunks() for key in ("id", "target")):
        raise ResultError(f"{names} do not have the same samples and targets")
    metric = task_named(arm["task"]).compared(targeted=arm["targeted"])
    rows = [metric.parts(table) for table in (before, after)]
    if any(np.isnan(metric.value(parts.sum(axis=0))) for parts in rows):
        raise ResultError(f"{names} have no {metric.label} to compare")
    only = _alone(metric, *rows) if metric.event else None
    # A sample with several targets has several rows, which stay together in a resample.
    first, second = (parts.reshape(len(ids), -1, parts.shape[1]).sum(axis=1) for parts in rows)
    value, k = metric.value, first.shape[1]

    def difference(sums: Numbers) -> Numbers:
        moved: Numbers = value(sums[..., k:]) - value(sums[..., :k])
        return moved

    few, both = len(ids) < FEWEST, np.concatenate([first, second], axis=1)
    interval = bootstrap(both, difference)
    pairs = only if len(rows[0]) == len(ids) else None  # McNemar's test needs one attempt per sample
    p_value = mcnemar(*pairs) if pairs else None if few else sign_flip(first, second, value)
    return Comparison(
        baseline=baseline,
        arm=arm,
        metric=metric,
        n_samples=len(ids),
        baseline_value=float(value(first.sum(0))),
        arm_value=float(value(second.sum(0))),
        difference=float(difference(both.sum(0))),
        interval=interval,
        only_baseline=only[0] if only else None,
        only_arm=only[1] if only else None,
        p_value=p_value,
        test="McNemar" if pairs else "sign-flip",
        note="too few samples" if few else "" if interval else "all samples alike",
    )


def _alone(metric: Metric, first: Numbers, second: Numbers) -> tuple[int, int]:
    """Return in how many rows the attack succeeds under the first arm only, and under the second only."""
    before, after = (parts[:, 0] * metric.stronger for parts in (first, second))
    return int((before > after).sum()), int((after > before).sum())


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: both sides of a discordant pair are equally likely.

    >>> mcnemar(0, 0), mcnemar(0, 5), mcnemar(3, 3)
    (1.0, 0.0625, 1.0)
    """
    from scipy.stats import binomtest  # loads slowly, and is not always needed

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def sign_flip(first: Numbers, second: Numbers, value: Value, seed: int = SEED) -> float:
    """Return the two-sided p-value of the paired permutation test, which swaps the two arms of each sample.

    It tries all combinations of swaps if there are fewer than `RESAMPLES`, else that many random ones.

    Args:
        first: (n, K) numbers of each sample under one arm.
        second: (n, K) numbers under the other arm.
        value: The measure.
    """
    middle, half = (first + second).sum(0) / 2, (second - first) / 2

    def sizes(signs: Numbers) -> Numbers:
        moved = signs @ half
        differences: Numbers = np.abs(value(middle + moved) - value(middle - moved))
        return differences

    observed = sizes(np.ones(len(first))) - 1e-12
    hits, total = 0, 0
    for signs in _signs(len(first), seed):
        hits, total = hits + int((sizes(signs) >= observed).sum()), total + len(signs)
    exact = total < RESAMPLES
    return hits / total if exact else (hits + 1) / (total + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values after Holm's correction over all that are not None.

    >>> holm([0.25, None, 0.125, 1.0])
    [0.5, None, 0.375, 1.0]
    """
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        corrected[index] = largest = max(largest, min(1.0, (len(known) - rank) * p))
    return corrected


def bootstrap(samples: Numbers, statistic: Value, seed: int = SEED) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of a statistic of the samples' sum.

    A resample is a multinomial draw of how often each sample occurs. Equal samples share one count.

    Args:
        samples: (n, K) numbers of each sample, of both cells side by side so that pairs stay together.
        statistic: Maps sums (..., K) to values (...).

    Returns:
        The interval; None if all resamples are equal or have no value, which must not look like certainty, or if there
        are fewer than `FEWEST` samples.
    """
    if len(samples) < FEWEST:
        return None
    kinds, counts = np.unique(samples, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = []
    for start in range(0, RESAMPLES, AT_ONCE):
        size = min(AT_ONCE, RESAMPLES - start)
        times = generator.multinomial(len(samples), counts / len(samples), size=size)
        drawn.append(statistic(times.astype(np.float64) @ kinds.astype(np.float64)))
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if not len(values) or values.min() == values.max():
        return None
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _signs(n: int, seed: int) -> Iterator[Numbers]:
    """Yield arrays (m, n) of signs: all combinations, or `RESAMPLES` random ones."""
    if 2**n < RESAMPLES:
        yield np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        return
    generator = np.random.default_rng(seed)
    for start in range(0, RESAMPLES, AT_ONCE):
        yield 1.0 - 2.0 * generator.integers(0, 2, (min(AT_ONCE, RESAMPLES - start), n), dtype=np.int8)
