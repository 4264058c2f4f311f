"""How sure it is that LGM and FGM differ: the same samples under both, sample by sample."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.suites import GRADIENT_FREE
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.rows import merged
from lgm_bench.metrics.iou import iou_counts, mean_iou
from lgm_bench.results.reading import Finished, located

log = logging.getLogger(__name__)

RESAMPLES, CONFIDENCE, SEED = 10_000, 0.95, 0
FEWEST = 5
"""Samples below which resampling says nothing about others than these."""
AT_ONCE = 500
"""Resamples that are drawn at once, which bounds the memory for thousands of scenes."""

TUNED = ("step", "steps", "relation", "loss")
"""What the released attacks on scenes choose for each gradient by itself."""

Numbers = np.ndarray
Statistic = Callable[[Numbers], Numbers]


@dataclass(frozen=True)
class PairedDifference:
    """A pair of cells that differ in the gradient, and at most in `TUNED`, compared on the samples that they share.

    Attributes:
        fgm: Result under FGM.
        lgm: Result under LGM.
        metric: "accuracy", "success" (targeted cells) or "miou" (scenes).
        n_samples: Images, shapes or scenes.
        fgm_value: The metric under FGM, a fraction in [0, 1].
        lgm_value: Under LGM.
        difference: LGM minus FGM, a fraction: below 0 LGM is the stronger attack, but for "success", where it is above.
        interval: Bootstrap interval of the difference over samples, at `CONFIDENCE`; None where `note` says why.
        only_fgm: Attempts that succeed under FGM alone; None for scenes.
        only_lgm: Attempts that succeed under LGM alone.
        p_value: McNemar's exact test of these two numbers, two-sided; None for scenes and where an image has several
            targets, whose attempts are not independent.
        note: Why there is no interval, or nothing.
    """

    fgm: CellResult
    lgm: CellResult
    metric: str
    n_samples: int
    fgm_value: float
    lgm_value: float
    difference: float
    interval: tuple[float, float] | None
    only_fgm: int | None
    only_lgm: int | None
    p_value: float | None
    note: str = ""


def paired_differences(results: Sequence[CellResult], out: Path) -> list[PairedDifference]:
    """Return LGM against FGM for every LGM result that has its FGM counterpart, in the order of the results.

    Of several counterparts the one is taken that agrees in most of `TUNED`. Pairs whose rows are missing or damaged are
    named in the log and left out.

    Args:
        results: Finished cells.
        out: The results folder that they lie in.
    """
    found = located(results, Path(out))
    baselines: dict[object, list[Finished]] = {}
    for one in found:
        if one.result.cell.gradient == "fgm":
            baselines.setdefault(_alike(one.result), []).append(one)
    differences = []
    for leaded in found:
        lagged = _nearest(leaded, baselines.get(_alike(leaded.result), ()))
        if leaded.result.cell.gradient == "lgm" and leaded.result.cell.attack not in GRADIENT_FREE and lagged:
            try:
                differences.append(paired_difference(lagged, leaded))
            except ResultError as error:
                log.warning("LGM is not compared with FGM for %s: %s", leaded.folder.name, error)
    return differences


def paired_difference(fgm: Finished, lgm: Finished) -> PairedDifference:
    """Return the comparison of two cells.

    Raises:
        ResultError: Rows are missing or damaged, or the two are not of the same samples.
    """
    before, after = fgm.rows(), lgm.rows()
    ids = list(dict.fromkeys(before.column("id").to_pylist()))
    before, after = merged([before], ids), merged([after], ids)
    keys = ["id", "target"] if "target" in before.column_names else ["id"]
    if any(before.column(key).combine_chunks() != after.column(key).combine_chunks() for key in keys):
        raise ResultError(f"{fgm.folder.name} and {lgm.folder.name} are not of the same samples and targets")
    compare = _scenes if "confusion" in before.column_names else _classified
    return compare(fgm.result, lgm.result, before, after)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: that a discordant pair falls to either side by even chance.

    Args:
        only_first: Pairs in which the first alone succeeds.
        only_second: Pairs in which the second alone succeeds.

    >>> mcnemar(0, 0), mcnemar(0, 5), mcnemar(3, 3)
    (1.0, 0.0625, 1.0)
    """
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def bootstrap(samples: Numbers, statistic: Statistic, seed: int = SEED) -> tuple[float, float] | None:
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


def iou_difference(sums: Numbers) -> Numbers:
    """Return mIoU under LGM minus mIoU under FGM.

    Args:
        sums: (..., 4C) from `iou_parts` of both, added up over scenes.
    """
    parts = sums.reshape(*sums.shape[:-1], 4, -1)
    difference: Numbers = mean_iou(parts[..., 2, :], parts[..., 3, :]) - mean_iou(parts[..., 0, :], parts[..., 1, :])
    return difference


def iou_parts(table: pa.Table, ignored_classes: Sequence[int] = ()) -> Numbers:
    """Return each scene's intersections and unions after the attack, class by class, (scenes, 2C); see `iou_counts`."""
    lists = table.column("confusion").combine_chunks()
    flat = lists.flatten().to_numpy().reshape(len(lists), -1)
    classes = round(flat.shape[1] ** 0.5)
    return np.concatenate(iou_counts(flat.reshape(-1, classes, classes), ignored_classes), axis=1)


def _alike(result: CellResult) -> tuple[Cell, str, str, str]:
    """Return what two results have in common that differ in the gradient, and maybe in `TUNED`."""
    cell = replace(result.cell, gradient="", slope=None, forward="soft", paper=None)
    cell = replace(cell, input_slope=None, output_slope=None, floor_slope=None)
    cell = replace(cell, step=None, steps=None, relation=None, loss=None)
    return cell, result.checkpoint_sha256, result.data_sha256, f"{result.precision} {result.backend}"


def _nearest(leaded: Finished, baselines: Sequence[Finished]) -> Finished | None:
    def agreeing(one: Finished) -> int:
        return sum(getattr(one.result.cell, name) == getattr(leaded.result.cell, name) for name in TUNED)

    return max(baselines, key=agreeing, default=None)


def _classified(fgm: CellResult, lgm: CellResult, before: pa.Table, after: pa.Table) -> PairedDifference:
    targeted = fgm.cell.targeted
    column = "success" if targeted else "correct"
    first, second = (table.column(column).to_numpy().astype(np.int64) for table in (before, after))
    weights = before.column("attacked").to_numpy().astype(np.int64) if targeted else np.ones_like(first)
    gone, stays = (first, second) if targeted else (1 - first, 1 - second)
    only_fgm, only_lgm = int((gone > stays).sum()), int((stays > gone).sum())
    # One sample is one image with all its targets: its attempts go together into a resample.
    n_samples = len(before.column("id").unique())
    samples = np.stack([second - first, weights], axis=1).reshape(n_samples, -1, 2).sum(1)
    values = [float(sums.sum() / max(weights.sum(), 1)) for sums in (first, second)]
    interval, note = _interval(samples, lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1), n_samples)
    return PairedDifference(
        fgm=fgm,
        lgm=lgm,
        metric="success" if targeted else "accuracy",
        n_samples=n_samples,
        fgm_value=values[0],
        lgm_value=values[1],
        difference=values[1] - values[0],
        interval=interval,
        only_fgm=only_fgm,
        only_lgm=only_lgm,
        p_value=None if len(first) > n_samples else mcnemar(only_fgm, only_lgm),
        note=note,
    )


def _scenes(fgm: CellResult, lgm: CellResult, before: pa.Table, after: pa.Table) -> PairedDifference:
    ignored = before.column("ignored_classes")[0].as_py()
    samples = np.concatenate([iou_parts(before, ignored), iou_parts(after, ignored)], axis=1)
    interval, note = _interval(samples, iou_difference, len(samples))
    values = [one.segmentation.miou if one.segmentation else float("nan") for one in (fgm, lgm)]
    return PairedDifference(
        fgm=fgm,
        lgm=lgm,
        metric="miou",
        n_samples=len(samples),
        fgm_value=values[0],
        lgm_value=values[1],
        difference=float(iou_difference(samples.sum(0))),
        interval=interval,
        only_fgm=None,
        only_lgm=None,
        p_value=None,
        note=note,
    )


def _interval(samples: Numbers, statistic: Statistic, n_samples: int) -> tuple[tuple[float, float] | None, str]:
    if n_samples < FEWEST:
        return None, "too few samples"
    interval = bootstrap(samples, statistic)
    return interval, "" if interval else "all samples alike"
