"""Line plots of accuracy or mIoU over eps and over the iterations of an attack (Tao et al. 2024, Fig. 9)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lgm_bench.evaluation.cells.units import eps_number
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.report.drawing import NEUTRAL, finish_axes, plot, svg
from lgm_bench.report.groups import Group, legend
from lgm_bench.report.model import Figure, Panel
from lgm_bench.results.frame import paper_numbers
from lgm_bench.results.reading import Finished

LOGARITHMIC_FROM = 5
"""Ratio of the largest to the smallest eps at which the axis becomes logarithmic."""

CAPTION = (
    "Each point is one run: the accuracy or mIoU of the hard network after an attack with that eps. A lower line is "
    "a stronger attack. The dashed line is the result without attack; hollow points are the paper's numbers."
)

ITERATIONS = "Iteration by iteration"
OF_ITERATIONS = (
    "Share of the attacked images that the hard network misclassifies (targeted: as the target) after each "
    "iteration. The steeper the line, the fewer iterations a gradient needs. Images may recover in between."
)
OF_ITERATES = (
    "Result of the best iterate so far, which an attack of that length would return: the share of shapes that have "
    "fallen, or the mean of the mIoU of each scene. The steeper the line, the fewer iterations a gradient needs."
)


def curves(key: str, sweeps: Sequence[Sequence[Group]]) -> list[Figure]:
    """Return a plot over eps for each victim and attack of one data set that has several eps."""
    shown = [sweep for sweep in sweeps if len(sweep) > 1]
    panels = [_panel(f"{key}-curve{number}", sweep) for number, sweep in enumerate(shown)]
    lines = [(NEUTRAL, "clean"), *legend([group for sweep in shown for group in sweep])]
    title = f"{shown[0][0].any_result.main.title} over eps" if shown else ""
    return [Figure(title, CAPTION, [panels], lines)] if panels else []


def _panel(key: str, sweep: Sequence[Group]) -> Panel:
    with plot() as (figure, ax):
        _draw(ax, sweep)
        return Panel(svg(figure, key, _alt_text(sweep)))


def _draw(ax: Any, sweep: Sequence[Group]) -> None:
    first = sweep[0].any_result
    ax.axhline(100 * first.clean, color=NEUTRAL, linestyle="--", linewidth=1)
    for name, style in sweep[0].styles.items():
        results = [(group.cell.attack.eps, group.shown[name].result) for group in sweep if name in group.shown]
        look = {"marker": style.marker, "color": style.colour}
        if results:
            ax.plot(*zip(*((eps, 100 * result.left) for eps, result in results), strict=True), **look)
            printed = [(eps, number) for eps, result in results if (number := _printed(result)) is not None]
            if printed:
                ax.plot(*zip(*printed, strict=True), linestyle="", markerfacecolor="none", **look)
    ticks = [group.cell.attack.eps for group in sweep]
    if ticks[-1] >= LOGARITHMIC_FROM * ticks[0] > 0:
        ax.set_xscale("log")
        ax.minorticks_off()
    ax.set_xticks(ticks, [eps_number(group.cell) for group in sweep])
    ax.set_ylim(-3, 103)
    finish_axes(ax, sweep[0].title, sweep[0].eps_axis, f"{first.main.label} (%)")


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


def iterations(key: str, groups: Sequence[Group]) -> list[Figure]:
    """Return a plot over the iterations for each victim, attack and eps with several iterations."""
    shown = []
    for group in groups:
        lines = {name: line for name, cell in group.arms.items() if (line := progress(cell)) is not None}
        if lines:
            shown.append((group, lines))
    panels = [
        _iterations_panel(f"{key}-iterations{number}", group, lines) for number, (group, lines) in enumerate(shown)
    ]
    caption = OF_ITERATES if any(group.points for group in groups) else OF_ITERATIONS
    return [Figure(ITERATIONS, caption, [panels], legend(groups, random=False))] if panels else []


def _iterations_panel(key: str, group: Group, lines: dict[str, np.ndarray]) -> Panel:
    main = group.any_result.main
    with plot() as (figure, ax):
        for name, line in lines.items():
            ax.plot(range(len(line)), 100 * line, color=group.styles[name].colour)
        ax.set_ylim(bottom=0, top=103 if main.event else None)
        up = "fallen (%)" if main.event else f"{main.label} (%)"
        finish_axes(ax, f"{group.title}, eps {group.eps}", "iteration", up)
        ends = (f"{group.styles[name].name} from {line[0]:.1%} to {line[-1]:.1%}" for name, line in lines.items())
        alt = f"Line plot of {group.cell.victim.name} under {group.attack}, eps {group.eps}: {', '.join(ends)}."
        return Panel(svg(figure, key, alt))


def progress(finished: Finished) -> np.ndarray | None:
    """Return one number per iteration, the first for the clean samples; None if the iterates were not judged.

    For scenes it is the mean of the lowest mIoU of each scene so far, for shapes the share that has fallen so far, and
    for images the share that is wrong at that iteration. Only shapes and images that count as attacked enter.
    """
    rows = finished.rows()
    values = None if rows.column("history").null_count else _matrix(rows)
    if values is None or values.shape[1] < 3:
        return None
    keeps_the_best = rows.column("iterate").null_count < len(rows)
    kept = np.minimum.accumulate(values, axis=1) if keeps_the_best else values
    line: np.ndarray = 1 - kept.mean(axis=0) if finished.result.main.event else kept.mean(axis=0)
    return line


def _matrix(rows: pa.Table) -> np.ndarray | None:
    """Return the history (samples, iterations + 1) of the attacked samples; None if their lengths differ."""
    lists = rows.filter(rows.column("attacked")).column("history").to_pylist()
    lengths = {len(values) for values in lists}
    return np.array(lists, float) if len(lengths) == 1 else None
