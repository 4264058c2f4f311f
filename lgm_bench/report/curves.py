"""What is left at each eps, under each gradient and random moves."""

from collections.abc import Sequence
from typing import Any

from lgm_bench.evaluation.cells.units import eps_number
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.report.drawing import NEUTRAL, finish_axes, plot, svg
from lgm_bench.report.groups import Group, legend
from lgm_bench.report.model import Figure, Panel
from lgm_bench.results.tables.tables import paper_numbers

LOGARITHMIC_FROM = 5
"""How many times the smallest eps the largest has to be for a logarithmic axis."""

CAPTION = (
    "Each point is one run: how much the hard network still gets right after an attack of that size. A lower line is a "
    "stronger attack. The dashed line is the clean network; hollow points are what the paper prints, where it does."
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
