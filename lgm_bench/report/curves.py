"""Line plots of accuracy or mIoU against eps and against the iterations of an attack (Tao et al. 2024, Fig. 9)."""

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
"""Ratio of the largest to the smallest eps from which on the axis is logarithmic."""

CAPTION = (
    "Each point is one run: the share that the hard network still gets right after an attack of that size. A lower "
    "line is a stronger attack. The dashed line is the clean network; hollow points are numbers of the paper."
)

ITERATIONS = "Iteration by iteration"
OF_ITERATIONS = (
    "The share of the attacked images that the hard network gets wrong (targeted: takes for the target) after so many "
    "iterations. The steeper, the fewer iterations a gradient needs. Images may recover on the way."
)
OF_ITERATES = (
    "The best iterate so far, which is the result if the attack ends there: the share of shapes that have fallen, or "
    "the mean of the scenes' own mIoUs. The steeper the line, the fewer iterations are needed."
)


def curves(key: str, together: Sequence[Sequence[Group]]) -> list[Figure]:
    """Return the curves of one data set, a plot for each victim and attack that was run with several eps.

    Args:
        key: Of the data set, for names inside the pictures.
        together: See `groups.series`.
    """
    shown = [ones for ones in together if len(ones) > 1]
    panels = [_panel(f"{key}-curve{number}", ones) for number, ones in enumerate(shown)]
    lines = [(NEUTRAL, "clean"), *legend([one for ones in shown for one in ones])]
    title = f"{shown[0][0].any.main.title} against eps" if shown else ""
    return [Figure(title, CAPTION, [panels], lines)] if panels else []


def _panel(key: str, ones: Sequence[Group]) -> Panel:
    with plot() as (figure, ax):
        _draw(ax, ones)
        return Panel(svg(figure, key, _words(ones)))


def _draw(ax: Any, ones: Sequence[Group]) -> None:
    first = ones[0].any
    ax.axhline(100 * first.clean, color=NEUTRAL, linestyle="--", linewidth=1)
    for name, style in ones[0].styles.items():
        found = [(one.cell.attack.eps, one.shown[name].result) for one in ones if name in one.shown]
        look = {"marker": style.marker, "color": style.colour}
        if found:
            ax.plot(*zip(*((eps, 100 * result.left) for eps, result in found), strict=True), **look)
            printed = [(eps, number) for eps, result in found if (number := _printed(result)) is not None]
            if printed:
                ax.plot(*zip(*printed, strict=True), linestyle="", markerfacecolor="none", **look)
    places = [one.cell.attack.eps for one in ones]
    if places[-1] >= LOGARITHMIC_FROM * places[0] > 0:
        ax.set_xscale("log")
        ax.minorticks_off()
    ax.set_xticks(places, [eps_number(one.cell) for one in ones])
    ax.set_ylim(-3, 103)
    finish_axes(ax, ones[0].title, ones[0].eps_axis, f"{first.main.label} (%)")


def _printed(result: CellResult) -> float | None:
    return paper_numbers(result).get(result.main.name)


def _words(ones: Sequence[Group]) -> str:
    first = ones[0].any
    parts = [
        f"Line plot of {first.cell.victim.name} under {ones[0].attack}, {first.main.label} {first.clean:.1%} before."
    ]
    for one in ones:
        values = [f"{one.styles[name].name} leaves {arm.result.left:.1%}" for name, arm in one.arms.items()]
        parts.append(f"At eps {one.eps} {', '.join(values)}.")
    return " ".join(parts)


def iterations(key: str, groups: Sequence[Group]) -> list[Figure]:
    """Return the progress of attacks with several iterations, a plot for each victim, attack and eps.

    Args:
        key: Of the data set, for names inside the picture.
        groups: Those of one data set.
    """
    shown = []
    for one in groups:
        lines = {name: line for name, found in one.arms.items() if (line := progress(found)) is not None}
        if lines:
            shown.append((one, lines))
    panels = [_panel_of_iterations(f"{key}-iterations{number}", *one) for number, one in enumerate(shown)]
    caption = OF_ITERATES if any(one.points for one in groups) else OF_ITERATIONS
    return [Figure(ITERATIONS, caption, [panels], legend(groups, random=False))] if panels else []


def _panel_of_iterations(key: str, one: Group, lines: dict[str, np.ndarray]) -> Panel:
    main = one.any.main
    with plot() as (figure, ax):
        for name, line in lines.items():
            ax.plot(range(len(line)), 100 * line, color=one.styles[name].colour)
        ax.set_ylim(bottom=0, top=103 if main.event else None)
        up = "fallen (%)" if main.event else f"{main.label} (%)"
        finish_axes(ax, f"{one.title}, eps {one.eps}", "iteration", up)
        return Panel(svg(figure, key, _words_of_iterations(one, lines)))


def progress(found: Finished) -> np.ndarray | None:
    """Return one number per iteration, the first for the clean samples; None where the iterates were not judged.

    Scenes: the mean of each one's lowest mIoU so far. Shapes: the share that has fallen so far. Images: the share that
    is wrong at that iteration. Only shapes and images that count as attacked enter.
    """
    rows = found.rows()
    values = None if rows.column("history").null_count else _matrix(rows)
    if values is None or values.shape[1] < 3:
        return None
    keeps_the_best = rows.column("iterate").null_count < len(rows)
    kept = np.minimum.accumulate(values, axis=1) if keeps_the_best else values
    line: np.ndarray = 1 - kept.mean(axis=0) if found.result.main.event else kept.mean(axis=0)
    return line


def _matrix(rows: pa.Table) -> np.ndarray | None:
    """Return (samples, iterations + 1) float of the attacked samples."""
    lists = rows.filter(rows.column("attacked")).column("history").to_pylist()
    lengths = {len(values) for values in lists}
    return np.array(lists, float) if len(lengths) == 1 else None


def _words_of_iterations(one: Group, lines: dict[str, np.ndarray]) -> str:
    ends = ", ".join(f"{one.styles[name].name} from {line[0]:.1%} to {line[-1]:.1%}" for name, line in lines.items())
    return f"Line plot of {one.cell.victim.name} under {one.attack}, eps {one.eps}: {ends}."
