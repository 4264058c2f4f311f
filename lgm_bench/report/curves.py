"""Line plots of accuracy or mIoU over eps and over the iterations of an attack (Tao et al. 2024, Fig. 9)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from lgm_bench.evaluation.cells.units import eps_number
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.report.drawing import NEUTRAL, Style, Trace, chart, titled, words
from lgm_bench.report.groups import Group, legend
from lgm_bench.report.model import Figure, Panel
from lgm_bench.results.frame import paper_numbers
from lgm_bench.results.reading import Finished
from lgm_bench.tasks.metric import Metric

LOGARITHMIC_FROM = 5
"""Ratio of the largest to the smallest eps at which the axis becomes logarithmic."""
PERCENT = (-3, 103)
"""Range of an axis in percent."""
FEWEST = 3
"""Points of a line over iterations, at least."""

CAPTION = (
    "Each point is one run: the accuracy or mIoU of the hard network after an attack with that eps. A lower line is "
    "a stronger attack. The dashed line is the result without attack; hollow points are the paper's numbers."
)

ITERATIONS = "Iteration by iteration"
OF_ITERATIONS = (
    "What an attack of that many iterations leaves, over all samples as in the tables: a line starts at the clean "
    "value and ends at the value after the attack. The steeper the line, the fewer iterations a gradient needs. "
    "Attacks on shapes and scenes return the best iterate of each, attacks on images the last one, so an image may "
    "recover."
)


def curves(sweeps: Sequence[Sequence[Group]]) -> list[Figure]:
    """Return a plot over eps for each victim and attack of one data set that has several eps."""
    shown = [sweep for sweep in sweeps if len(sweep) > 1]
    if not shown:
        return []
    lines = [(NEUTRAL, "clean", "╌"), *legend([group for sweep in shown for group in sweep])]
    return [Figure(f"{shown[0][0].any_result.main.title} over eps", CAPTION, [[over_eps(s) for s in shown]], lines)]


def over_eps(sweep: Sequence[Group]) -> Panel:
    """Return the plot of groups that differ in eps only."""
    first, ticks = sweep[0].any_result, [group.cell.attack.eps for group in sweep]
    ends = {"x": [ticks[0], ticks[-1]], "y": [100 * first.clean] * 2}
    clean = {**ends, "mode": "lines", "line": {"color": NEUTRAL, "dash": "dash", "width": 1}, "hoverinfo": "skip"}
    traces: list[Trace] = [clean]
    for name, style in sweep[0].styles.items():
        results = [
            (group.eps, group.cell.attack.eps, group.shown[name].result) for group in sweep if name in group.shown
        ]
        traces += _line_of(results, style) if results else []
    logarithmic = ticks[-1] >= LOGARITHMIC_FROM * ticks[0] > 0
    axis = {"tickvals": ticks, "ticktext": [eps_number(group.cell) for group in sweep]}
    return Panel(
        chart(
            traces,
            _alt_text(sweep),
            **titled(sweep[0].title),
            xaxis={"title": {"text": sweep[0].eps_axis}, "type": "log" if logarithmic else "linear", **axis},
            yaxis={"title": {"text": f"{first.main.label} (%)"}, "range": PERCENT},
        )
    )


def _line_of(results: Sequence[tuple[str, float, CellResult]], style: Style) -> list[Trace]:
    """Return the line of one arm through (eps in words, eps, result), and hollow points for the paper's numbers."""
    hover = [words(f"{style.name}, eps {eps}", result.main.text(result.left)) for eps, _, result in results]
    marker = {"color": style.colour, "symbol": style.marker, "size": 7}
    line = {"mode": "lines+markers", "line": {"color": style.colour}, "marker": marker, "hovertext": hover}
    traces = [_points([(eps, 100 * result.left) for _, eps, result in results]) | line]
    printed = [(eps, x, number) for eps, x, result in results if (number := _printed(result)) is not None]
    if printed:
        hollow = {"mode": "markers", "marker": marker | {"symbol": f"{style.marker}-open"}}
        hollow["hovertext"] = [words(f"paper, {style.name}, eps {eps}", f"{number:.2f}%") for eps, _, number in printed]
        traces.append(_points([(x, number) for _, x, number in printed]) | hollow)
    return traces


def _points(places: Sequence[tuple[float, float]]) -> Trace:
    return {
        "x": [x for x, _ in places],
        "y": [None if math.isnan(y) else y for _, y in places],
        "hoverinfo": "text",
    }


def _printed(result: CellResult) -> float | None:
    return paper_numbers(result).get(result.main.name)


def _alt_text(sweep: Sequence[Group]) -> str:
    first = sweep[0].any_result
    sentences = [
        f"Line plot of {first.cell.victim.name} under {sweep[0].attack}, {first.main.label} {first.clean:.1%} before."
    ]
    for group in sweep:
        values = [f"{group.styles[name].name} leaves {arm.result.left:.1%}" for name, arm in group.arms.items()]
        sentences.append(f"At eps {group.eps} {', '.join(values)}.")
    return " ".join(sentences)


def iterations(groups: Sequence[Group]) -> list[Figure]:
    """Return a plot over the iterations for each victim, attack and eps with several iterations."""
    panels = []
    for group in groups:
        lines = {name: line for name, cell in group.arms.items() if (line := progress(cell)) is not None}
        panels += [_over_iterations(group, lines)] if lines else []
    return [Figure(ITERATIONS, OF_ITERATIONS, [panels], legend(groups, random=False))] if panels else []


def _over_iterations(group: Group, lines: Mapping[str, np.ndarray]) -> Panel:
    label = group.any_result.compared.label
    traces: list[Trace] = []
    for name, line in lines.items():
        style = group.styles[name]
        hover = [words(f"{style.name} after {i} iterations", f"{label} {value:.2%}") for i, value in enumerate(line)]
        look = {"mode": "lines", "line": {"color": style.colour}, "hoverinfo": "text", "hovertext": hover}
        traces.append({"x": list(range(len(line))), "y": 100 * line, **look})
    ends = (f"{group.styles[name].name} from {line[0]:.1%} to {line[-1]:.1%}" for name, line in lines.items())
    return Panel(
        chart(
            traces,
            f"Line plot of {group.cell.victim.name} under {group.attack}, eps {group.eps}: {', '.join(ends)}.",
            **titled(f"{group.title}, eps {group.eps}"),
            xaxis={"title": {"text": "iteration"}},
            yaxis={"title": {"text": f"{label} (%)"}, "range": PERCENT},
        )
    )


def progress(finished: Finished) -> np.ndarray | None:
    """Return what the attack leaves after 0, 1, 2, ... iterations; None if the iterates were not judged.

    It is the metric by which attacks are compared, over all samples, so it begins with the clean value of the record
    and ends with the one after the attack.
    """
    rows, metric = finished.rows(), finished.result.compared
    values = _matrix(rows, "history" if metric.event else "history_counts")
    if values is None:
        return None
    if not metric.event:
        line = _of_scenes(values.reshape(len(rows), -1, metric.parts(rows).shape[1]), metric)
        return line if len(line) >= FEWEST else None
    if values.shape[1] < FEWEST:
        return None
    keeps_the_best = rows.column("iterate").null_count < len(rows)
    kept = np.minimum.accumulate(values, axis=1) if keeps_the_best else values
    happened = kept if metric.stronger < 0 else 1 - kept
    parts, attacked = metric.parts(rows), rows.column("attacked").to_numpy()
    sums = np.stack(
        [parts[~attacked, 0].sum() + happened.sum(axis=0), np.full(kept.shape[1], parts[:, 1].sum())], axis=1
    )
    return metric.value(sums)


def _of_scenes(counts: np.ndarray, metric: Metric) -> np.ndarray:
    """Return the metric of all scenes together after 0, 1, 2, ... iterations, from (scenes, iterates, K) counts.

    The attack keeps the iterate of each scene that has the lowest metric so far, the first of equal ones.
    """
    scores, numbers = metric.value(counts), np.arange(counts.shape[1])
    better = scores[:, 1:] < np.minimum.accumulate(scores, axis=1)[:, :-1]
    kept = np.maximum.accumulate(np.pad(better, ((0, 0), (1, 0))) * numbers, axis=1)
    return metric.value(np.take_along_axis(counts, kept[..., None], axis=1).sum(axis=0))


def _matrix(rows: pa.Table, column: str) -> np.ndarray | None:
    """Return a column of lists of the attacked samples, a row each; None if it is missing or their lengths differ."""
    if column not in rows.column_names or rows.column(column).null_count:
        return None
    lists = rows.filter(rows.column("attacked")).column(column).to_pylist()
    return np.array(lists, float) if len({len(values) for values in lists}) == 1 else None
