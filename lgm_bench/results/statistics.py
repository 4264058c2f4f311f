"""How sure it is that two gradients differ: each arm against its baseline, on the same samples."""

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
"""Settings in which a baseline and its arm may differ: the released attacks on scenes choose them for each gradient."""
OF_A_GRADIENT = ("gradient", "slope", "input_slope", "output_slope", "floor_slope")
SAME = ("checkpoint_sha256", "data_sha256", "content_sha256", "precision", "backend")
"""Columns that an arm and its baseline have in common, beside those that say what was run."""
ALPHA = 0.05
"""Corrected p-value below which a difference counts as significant."""
FEWEST = 5
"""With fewer samples than these, resampling says nothing about other samples."""
AT_ONCE = 500
"""Resamples drawn at once; a limit on memory for thousands of scenes."""

Numbers = np.ndarray
Value = Callable[[Numbers], Numbers]
"""From sums over samples (..., K) to the measure (...)."""


@dataclass(frozen=True)
class Comparison:
    """Two cells that differ in the gradient, and at most in `TUNED`, compared on the samples that they share.

    Attributes:
        baseline: Line of the table of results under the gradient that others are compared with.
        arm: That under another gradient.
        metric: What is compared.
        n_samples: Images, shapes or scenes.
        baseline_value: The metric under the baseline, a fraction in [0, 1].
        arm_value: Under the arm.
        difference: Arm minus baseline, a fraction; the metric says under which sign the arm is the stronger attack.
        interval: Bootstrap interval of the difference over samples, at `CONFIDENCE`; `note` says why if it is None.
        only_baseline: Attempts that succeed under the baseline alone; None for scenes.
        only_arm: Attempts that succeed under the arm alone.
        p_value: Two-sided, by `test`; None for scenes and images with several targets of which there are too few.
        test: "McNemar" of `only_baseline` and `only_arm`, or "sign-flip" where a sample is more than one attempt.
        p_holm: `p_value` after Holm's correction over all comparisons of one table.
        note: Why there is no interval, or nothing.
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
        """Whether the arm is a significantly "stronger" or "weaker" attack than the baseline, or "undecided"."""
        if self.p_holm is None or self.p_holm >= ALPHA:
            return "undecided"
        return "stronger" if self.difference * self.metric.stronger > 0 else "weaker"


def compare_arms(frame: pd.DataFrame) -> list[Comparison]:
    """Return each arm against the baseline of its group, corrected together; groups in the order of the results.

    The baseline is the one that the cells name, else `BASELINE`; where that is not there, the first of the gradients.
    Of several cells of the baseline the one is taken that agrees in most of `TUNED`. The log names pairs whose rows
    are missing or damaged; they are left out.

    Args:
        frame: Finished cells with their folders, see `frame.results`.
    """
    lines = [line for line in lines_of(frame) if line["gradient"] != NO_GRADIENT]
    comparisons = []
    for group in alike(lines, *OF_A_GRADIENT, *TUNED, also=SAME):
        baseline = baseline_of(line["baseline"] for line in group)
        first = in_order((line["gradient"] for line in group), baseline)[0]
        for arm in (line for line in group if line["gradient"] != first):
            candidates = [line for line in group if line["gradient"] == first and _of_one_code(line, arm)]
            if not candidates:
                continue
            nearest = max(candidates, key=lambda line: sum(line[name] == arm[name] for name in TUNED))
            try:
                comparisons.append(compare_pair(nearest, arm))
            except ResultError as error:
                log.warning("%s is compared with no baseline: %s", Path(arm["folder"]).name, error)
    corrected = holm([one.p_value for one in comparisons])
    return [replace(one, p_holm=p) for one, p in zip(comparisons, corrected, strict=True)]


def _of_one_code(first: Line, second: Line) -> bool:
    """Return whether no file that both were computed with changed in between."""
    one, other = first["sources"], second["sources"]
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def compare_pair(baseline: Line, arm: Line) -> Comparison:
    """Return the comparison of two cells, without Holm's correction.

    Raises:
        ResultError: Rows are missing or damaged, or the two are not of the same samples.
    """
    before, after = (read_rows(Path(one["folder"]), one["fingerprint"], one["data_sha256"]) for one in (baseline, arm))
    ids = list(dict.fromkeys(before.column("id").to_pylist()))
    before, after = merged([before], ids), merged([after], ids)
    names = " and ".join(Path(one["folder"]).name for one in (baseline, arm))
    if any(before.column(key).combine_chunks() != after.column(key).combine_chunks() for key in ("id", "target")):
        raise ResultError(f"{names} are not of the same samples and targets")
    metric = task_named(arm["task"]).compared(targeted=arm["targeted"])
    rows = [metric.parts(table) for table in (before, after)]
    if any(np.isnan(metric.value(part.sum(axis=0))) for part in rows):
        raise ResultError(f"{names} have no {metric.label} to compare")
    only = _alone(metric, *rows) if metric.event else None
    # A sample with several targets is several rows, which go together into a resample.
    first, second = (part.reshape(len(ids), -1, part.shape[1]).sum(axis=1) for part in rows)
    value, k = metric.value, first.shape[1]

    def difference(sums: Numbers) -> Numbers:
        moved: Numbers = value(sums[..., k:]) - value(sums[..., :k])
        return moved

    few, both = len(ids) < FEWEST, np.concatenate([first, second], axis=1)
    interval = None if few else bootstrap(both, difference)
    pairs = only if len(rows[0]) == len(ids) else None  # McNemar's test takes one attempt a sample
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
    """Return in how many rows the attack succeeds under the first arm alone, and under the second alone."""
    gone, goes = (part[:, 0] * metric.stronger for part in (first, second))
    return int((gone > goes).sum()), int((goes > gone).sum())


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: both sides of a discordant pair are equally likely.

    Args:
        only_first: Pairs in which the first alone succeeds.
        only_second: Pairs in which the second alone succeeds.

    >>> mcnemar(0, 0), mcnemar(0, 5), mcnemar(3, 3)
    (1.0, 0.0625, 1.0)
    """
    from scipy.stats import binomtest  # takes a second to load, and only some results are compared

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def sign_flip(first: Numbers, second: Numbers, value: Value, seed: int = SEED) -> float:
    """Return the two-sided p-value of the paired permutation test: the two arms of each sample can be swapped.

    All swaps are tried where there are at most `RESAMPLES` of them, else that many random ones.

    Args:
        first: (n, K) numbers of each sample under one arm.
        second: (n, K) under the other.
        value: The measure of sums over samples.
        seed: Of the random swaps.
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
    """Return p-values after Holm's correction over all of them that are not None.

    >>> holm([0.25, None, 0.125, 1.0])
    [0.5, None, 0.375, 1.0]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        corrected[place] = largest = max(largest, min(1.0, (len(known) - rank) * p))
    return corrected


def bootstrap(samples: Numbers, statistic: Value, seed: int = SEED) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of a statistic of the samples' sum.

    A resample draws how often each sample occurs, which is a multinomial draw. Samples that are alike share one count.

    Args:
        samples: (n, K) numbers of each sample; those of both cells together, which keeps pairs together.
        statistic: From sums (..., K) to values (...).
        seed: Of the resamples.

    Returns:
        The interval; None if all resamples are the same or have no value: that is no sign of certainty.
    """
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
    """Yield arrays (m, n) of signs: all there are, or `RESAMPLES` random ones."""
    if 2**n < RESAMPLES:
        yield np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        return
    generator = np.random.default_rng(seed)
    for start in range(0, RESAMPLES, AT_ONCE):
        yield 1.0 - 2.0 * generator.integers(0, 2, (min(AT_ONCE, RESAMPLES - start), n), dtype=np.int8)
