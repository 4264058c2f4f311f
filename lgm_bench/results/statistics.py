"""How sure it is that two gradients differ: each arm against its baseline, on the same samples, sample by sample."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.rows import merged
from lgm_bench.results.arms import TUNED, baseline_of, in_order, without_gradient
from lgm_bench.results.reading import Finished, located
from lgm_bench.tasks.metric import Metric

log = logging.getLogger(__name__)

RESAMPLES, CONFIDENCE, SEED = 10_000, 0.95, 0
ALPHA = 0.05
"""Corrected p-value below which a difference counts as significant."""
FEWEST = 5
"""Samples below which resampling says nothing about others than these."""
AT_ONCE = 500
"""Resamples that are drawn at once, which bounds the memory for thousands of scenes."""

Numbers = np.ndarray
Value = Callable[[Numbers], Numbers]
"""From sums over samples (..., K) to the measure (...)."""


@dataclass(frozen=True)
class Comparison:
    """Two cells that differ in the gradient, and at most in `TUNED`, compared on the samples that they share.

    Attributes:
        baseline: Result under the gradient that others are compared with.
        arm: Result under another gradient.
        metric: What is compared.
        n_samples: Images, shapes or scenes.
        baseline_value: The metric under the baseline, a fraction in [0, 1].
        arm_value: Under the arm.
        difference: Arm minus baseline, a fraction; the metric says under which sign the arm is the stronger attack.
        interval: Bootstrap interval of the difference over samples, at `CONFIDENCE`; None where `note` says why.
        only_baseline: Attempts that succeed under the baseline alone; None for scenes.
        only_arm: Attempts that succeed under the arm alone.
        p_value: Two-sided, by `test`; None for scenes and images with several targets of which there are too few.
        test: "McNemar" of `only_baseline` and `only_arm`, or "sign-flip" where a sample is more than one attempt.
        p_holm: `p_value` after Holm's correction over all comparisons of one table.
        note: Why there is no interval, or nothing.
    """

    baseline: CellResult
    arm: CellResult
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


def compare_arms(results: Sequence[CellResult], out: Path) -> list[Comparison]:
    """Return each arm against the baseline of its group, corrected together; groups in the order of the results.

    The baseline is the one that the cells name, else `BASELINE`; where that is not there, the first of the gradients.
    Of several cells of the baseline the one is taken that agrees in most of `TUNED`. Pairs whose rows are missing or
    damaged are named in the log and left out.

    Args:
        results: Finished cells.
        out: The results folder that they lie in.
    """
    groups: dict[object, list[Finished]] = {}
    for one in located(results, Path(out)):
        if one.result.cell.gradient.name != NO_GRADIENT:
            groups.setdefault(_shared(one.result), []).append(one)
    comparisons = []
    for group in groups.values():
        cells = [one.result.cell for one in group]
        first = in_order((cell.gradient.name for cell in cells), baseline_of(cells))[0]
        candidates = [one for one in group if one.result.cell.gradient.name == first]
        for arm in (one for one in group if one.result.cell.gradient.name != first):
            fitting = [one for one in candidates if _of_one_code(one, arm)]
            if not fitting:
                continue
            try:
                comparisons.append(compare_pair(_nearest(arm, fitting), arm))
            except ResultError as error:
                log.warning("%s is compared with no baseline: %s", arm.folder.name, error)
    corrected = holm([one.p_value for one in comparisons])
    return [replace(one, p_holm=p) for one, p in zip(comparisons, corrected, strict=True)]


def compare_pair(baseline: Finished, arm: Finished) -> Comparison:
    """Return the comparison of two cells, without Holm's correction.

    Raises:
        ResultError: Rows are missing or damaged, or the two are not of the same samples.
    """
    before, after = baseline.rows(), arm.rows()
    ids = list(dict.fromkeys(before.column("id").to_pylist()))
    before, after = merged([before], ids), merged([after], ids)
    if any(before.column(key).combine_chunks() != after.column(key).combine_chunks() for key in ("id", "target")):
        raise ResultError(f"{baseline.folder.name} and {arm.folder.name} are not of the same samples and targets")
    metric = arm.result.compared
    parts = [metric.parts(rows) for rows in (before, after)]
    # A sample with several targets is several rows, which go together into a resample.
    of_samples = [part.reshape(len(ids), -1, part.shape[1]).sum(axis=1) for part in parts]
    if any(np.isnan(metric.value(part.sum(axis=0))) for part in parts):
        raise ResultError(f"{baseline.folder.name} and {arm.folder.name} have no {metric.label} to compare")
    only = _alone(metric, *parts) if metric.event else None
    return _compared((baseline.result, arm.result), of_samples, metric, only, alone=len(parts[0]) == len(ids))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: that a discordant pair falls to either side by even chance.

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
    """Return the two-sided p-value of the paired permutation test: that the arms of any sample could be swapped.

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

    Resampling n samples and adding them up is drawing how often each occurs: a multinomial draw, which for samples
    that are alike needs only one number for all of them.

    Args:
        samples: (n, K) numbers of each sample; those of both cells together, which keeps pairs together.
        statistic: From sums (..., K) to values (...).
        seed: Of the resamples.

    Returns:
        The interval; None if all resamples are the same or have no value, which is no sign of certainty.
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


def _shared(result: CellResult) -> tuple[object, ...]:
    """Return what the results of one group have in common."""
    weights_and_samples = (result.checkpoint_sha256, result.data_sha256, result.content_sha256)
    return without_gradient(result.cell), *weights_and_samples, result.precision, result.backend


def _of_one_code(first: Finished, second: Finished) -> bool:
    """Return whether no file that both were computed with changed in between."""
    one, other = first.result.sources, second.result.sources
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def _nearest(arm: Finished, baselines: Sequence[Finished]) -> Finished:
    def agreeing(one: Finished) -> int:
        first, second = one.result.cell.flat(), arm.result.cell.flat()
        return sum(first[name] == second[name] for name in TUNED)

    return max(baselines, key=agreeing)


def _signs(n: int, seed: int) -> Iterator[Numbers]:
    """Yield arrays (m, n) of signs: all there are, or `RESAMPLES` random ones."""
    if 2**n < RESAMPLES:
        yield np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        return
    generator = np.random.default_rng(seed)
    for start in range(0, RESAMPLES, AT_ONCE):
        yield 1.0 - 2.0 * generator.integers(0, 2, (min(AT_ONCE, RESAMPLES - start), n), dtype=np.int8)


def _alone(metric: Metric, first: Numbers, second: Numbers) -> tuple[int, int]:
    """Return in how many rows the attack succeeds under the first arm alone, and under the second alone."""
    gone, goes = (part[:, 0] * metric.stronger for part in (first, second))
    return int((gone > goes).sum()), int((goes > gone).sum())


def _compared(
    results: tuple[CellResult, CellResult],
    parts: Sequence[Numbers],
    metric: Metric,
    only: tuple[int, int] | None,
    *,
    alone: bool,
) -> Comparison:
    """Return the comparison of two cells.

    Args:
        results: Baseline and arm.
        parts: (n, K) numbers of each sample under both.
        metric: What is compared.
        only: Attempts that succeed under the baseline alone, and under the arm alone; None for scenes.
        alone: Whether a sample is one attempt, so that McNemar's test holds.
    """
    first, second = parts
    value, k, n_samples = metric.value, first.shape[1], len(first)

    def difference(sums: Numbers) -> Numbers:
        moved: Numbers = value(sums[..., k:]) - value(sums[..., :k])
        return moved

    few = n_samples < FEWEST
    both = np.concatenate([first, second], axis=1)
    interval = None if few else bootstrap(both, difference)
    p_value = mcnemar(*only) if only and alone else None if few else sign_flip(first, second, value)
    return Comparison(
        baseline=results[0],
        arm=results[1],
        metric=metric,
        n_samples=n_samples,
        baseline_value=float(value(first.sum(0))),
        arm_value=float(value(second.sum(0))),
        difference=float(difference(both.sum(0))),
        interval=interval,
        only_baseline=only[0] if only else None,
        only_arm=only[1] if only else None,
        p_value=p_value,
        test="McNemar" if only and alone else "sign-flip",
        note="too few samples" if few else "" if interval else "all samples alike",
    )
