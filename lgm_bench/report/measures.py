"""The first page: for each measure, how strong every attack is and how certain that is."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.wording import describe_gradient
from lgm_bench.report.drawing import RANDOM, Style
from lgm_bench.report.dumbbells import CLEAN, WORST, Dumbbell, dumbbell_panel, legend_of, points_of
from lgm_bench.report.groups import Group, representative
from lgm_bench.report.model import Figure, Section, attempted
from lgm_bench.results.comparisons import p_text, verdict_counts
from lgm_bench.results.formats import Grid
from lgm_bench.results.levels import Level, level, worst_case
from lgm_bench.results.reading import Finished
from lgm_bench.results.statistics import CONFIDENCE, Comparison
from lgm_bench.tasks.metric import Metric

OVERVIEW = "Overview"
MOST_ROWS = 8
"""Most lines of a measure's first chart; if there are more attacks, it shows the longest one on each victim."""
AFTER = ("samples", "data")
"""Columns after the numbers; a phone shows only the first columns."""
CAPTION = (
    f"Thin lines are {CONFIDENCE:.0%} bootstrap intervals over samples. The worst case counts, for each sample, the "
    "strongest of the arms; so it has as many attempts as there are arms. On the right of a wide screen: how far the "
    "first arm is from the baseline, in percentage points."
)
NOTHING = "No samples were attacked under two gradients, so there is nothing to compare."


def measures(groups: Sequence[Group], comparisons: Sequence[Comparison]) -> list[Section]:
    """Return a section for each metric by which attacks are compared, such as accuracy and mIoU."""
    by_metric: dict[str, list[Group]] = {}
    for group in groups:
        by_metric.setdefault(group.any_result.compared.label, []).append(group)
    return [
        _measure(own, [pair for pair in comparisons if pair.metric.label == label], "" if number else CAPTION)
        for number, (label, own) in enumerate(by_metric.items())  # one caption says it for all
    ]


def _measure(groups: Sequence[Group], comparisons: Sequence[Comparison], caption: str) -> Section:
    metric, styles = groups[0].any_result.compared, groups[0].styles
    pairs = {pair.arm["fingerprint"]: pair for pair in comparisons}
    rows = [(group, _dumbbell(group, pairs)) for group in groups]
    looks = points_of([row for _, row in rows], styles)
    names = {name: looks[name] for name in _columns(list(looks))}
    header = ("victim and attack", *(style.name for style in names.values()), *AFTER)
    grid = Grid(f"{metric.title}, in percent", header, [_line(group, row, names) for group, row in rows])
    first_arm, *others = verdict_counts(comparisons) or [NOTHING]
    section = Section(f"measure-{metric.name}", metric.title, OVERVIEW, [first_arm], others, grids=[grid])
    section.notes = _tuned(groups)
    return attempted(section, partial(_figures, rows, styles, caption))


def _figures(rows: Sequence[tuple[Group, Dumbbell]], styles: Mapping[str, Style], caption: str) -> list[Figure]:
    """Return the chart of the longest attack on each victim, and folded the one of all; or one chart if all are few."""
    groups = [group for group, _ in rows]
    metric = groups[0].any_result.compared
    first = representative(groups) if len(rows) > MOST_ROWS else groups
    shown, everything = [row for group, row in rows if group in first], [row for _, row in rows]
    each = "the longest attack on each victim" if len(shown) < len(rows) else "each attack"
    when = "before and after" if metric.before else "under"
    stronger = {-1: ": lower is a stronger attack", 1: ": higher is a stronger attack", 0: ""}[metric.stronger]
    title, legend = f"{metric.title} {when} {each}{stronger}", legend_of(shown, styles)
    figures = [Figure(title, caption, [[dumbbell_panel(shown, styles, title)]], legend)]
    if len(shown) < len(rows):
        title = f"{metric.title} {when} all {len(rows)} attacks"
        figures.append(Figure(title, "", [[dumbbell_panel(everything, styles, title)]], legend, folded=True))
    return figures


def _dumbbell(group: Group, pairs: Mapping[str, Comparison]) -> Dumbbell:
    first = group.any_result
    metric = first.compared
    levels: dict[str, Level] = {}
    if metric.before:
        levels[CLEAN] = _level(next(iter(group.arms.values())), first.kind.metric(metric.before))
    levels |= {name: _level(finished, metric) for name, finished in group.shown.items()}
    try:
        worst = worst_case([finished.rows() for finished in group.arms.values()], metric)
    except ResultError:
        worst = None
    levels |= {WORST: worst} if worst else {}
    of_arms = {name: pairs.get(finished.result.fingerprint) for name, finished in group.arms.items()}
    details = {name: _details(group.arms[name], pair) for name, pair in of_arms.items()}
    compared = [pair for pair in of_arms.values() if pair]
    return Dumbbell(
        f"{group.cell.victim.name}, {group.attack} {group.eps}",
        {name: level for name, level in levels.items() if not math.isnan(level.value)},
        f"{100 * compared[0].difference:+.1f} {compared[0].verdict}" if compared else "",
        details | {CLEAN: f"{first.n_samples:,} samples of {group.cell.data.name}"},
    )


def _level(finished: Finished, metric: Metric) -> Level:
    """Return a metric of a cell; without an interval if the rows cannot be read."""
    try:
        return level(finished.rows(), metric)
    except ResultError:
        value = finished.result.metrics[metric.name]
        return Level(float("nan") if value is None else value, None, finished.result.n_samples)


def _details(finished: Finished, pair: Comparison | None) -> str:
    settings = describe_gradient(finished.result.cell)
    if pair is None:
        return settings
    interval = "" if pair.interval is None else " ({:+.1f} to {:+.1f})".format(*(100 * end for end in pair.interval))
    return f"{settings}: {100 * pair.difference:+.1f} points{interval}, p Holm {p_text(pair.p_holm)}, {pair.verdict}"


def _line(group: Group, row: Dumbbell, names: Mapping[str, Style]) -> tuple[str, ...]:
    values = (f"{100 * row.levels[name].value:.2f}" if name in row.levels else "–" for name in names)
    return (row.label, *values, f"{group.any_result.n_samples:,}", group.cell.data.name)


def _tuned(groups: Sequence[Group]) -> list[str]:
    """Return which parameters were tuned per arm, so that nobody takes the arms for equal in all else."""
    arms = [(group.styles[name].name, group, arm.result.cell) for group in groups for name, arm in group.arms.items()]
    slopes: dict[str, dict[str, None]] = {}
    for arm, _, cell in arms:
        if cell.gradient.slope_text:
            slopes.setdefault(arm, {})[cell.gradient.slope_text] = None
    alike: dict[tuple[str, ...], list[str]] = {}
    for arm, values in slopes.items():
        alike.setdefault(tuple(values), []).append(arm)
    parts = [f"slope of {_listed(names)} ({_listed(values)})" for values, names in alike.items()]
    for setting in ("step", "steps", "loss"):
        values_of = {
            id(group): {getattr(cell.attack, setting) for _, of, cell in arms if of is group} for group in groups
        }
        differing = dict.fromkeys(group.cell.victim.name for group in groups if len(values_of[id(group)]) > 1)
        parts += [f"{setting} of {_listed(list(differing))}"] if differing else []
    return [f"Tuned for each arm: {'; '.join(parts)}. Hovering over a point shows its own."] if parts else []


def _columns(names: Sequence[str]) -> list[str]:
    """Return the points in the order of the table's columns: a phone shows only the first four.

    >>> _columns(["clean", "random", "fgm", "lgm", "soft", "worst case"])
    ['clean', 'fgm', 'lgm', 'worst case', 'soft', 'random']
    """
    arms = [name for name in names if name not in (CLEAN, RANDOM, WORST)]
    order = [CLEAN, *arms[:2], WORST, *arms[2:], RANDOM]
    return [name for name in order if name in names]


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
