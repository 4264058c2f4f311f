"""Dumbbells: what each attack leaves of a metric, from the clean value to the worst case, one line per attack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lgm_bench.report.drawing import LINE, NEUTRAL, RANDOM, SOFT, TEXT, WIDE, Style, Trace, chart, words
from lgm_bench.report.model import WHOLE_WIDTH, Panel
from lgm_bench.results.levels import Level

CLEAN, WORST = "clean", "worst case"
ENDS = {CLEAN: Style(CLEAN, NEUTRAL, "circle"), WORST: Style(WORST, TEXT, "star")}
"""Styles of the two ends; between them stand the arms."""
ROW, ABOVE, BELOW = 54, 22, 8
"""Heights of a line, of the axis above and of the margin below, CSS pixels."""
HOLLOW = (CLEAN, RANDOM)
"""Points that no gradient has made."""
LABEL, MIDDLE, SPREAD = 0.32, -0.14, 0.46
"""Place of label and bar in a line, and the height over which its markers are spread so that none hides another."""


@dataclass(frozen=True)
class Dumbbell:
    """One line of the chart.

    Attributes:
        label: What was attacked and how.
        levels: The metric by name of the point: `CLEAN`, arms, `WORST`.
        remark: Short text at the right end.
        details: More about a point, by its name, for whoever hovers over it.
    """

    label: str
    levels: Mapping[str, Level]
    remark: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


def dumbbell_panel(rows: Sequence[Dumbbell], styles: Mapping[str, Style], title: str) -> Panel:
    """Return the chart of some lines, in their order.

    Args:
        rows: The lines.
        styles: Style of every arm; a point without a style is one of `ENDS`.
        title: What the axis shows, in percent.
    """
    looks = points_of(rows, styles)
    at = dict(zip(looks, np.linspace(SPREAD, -SPREAD, len(looks)) / 2 + MIDDLE, strict=True))
    traces = [_bar(rows)]
    for name, style in looks.items():
        shown = [(place, row) for place, row in enumerate(rows) if name in row.levels]
        traces.append(_markers(name, shown, style, float(at[name])))
    picture = chart(
        traces,
        _alt_text(rows, looks, title),
        height=ROW * len(rows) + ABOVE + BELOW,
        margin={"l": 12, "r": 20, "t": ABOVE, "b": BELOW},
        annotations=_texts(rows),
        xaxis={"side": "top", "range": [-1, 101], "ticksuffix": "%"},
        yaxis={"visible": False, "range": [0.5 - len(rows), 0.5]},
    )
    return Panel(picture, width=WHOLE_WIDTH)


def legend_of(rows: Sequence[Dumbbell], styles: Mapping[str, Style]) -> list[tuple[str, str, str]]:
    """Return the legend of some lines."""
    looks = points_of(rows, styles)
    hollow = [(style.colour, style.name, "○") for name, style in looks.items() if name in HOLLOW]
    return [*hollow, *(style.key for name, style in looks.items() if name not in HOLLOW)]


def points_of(rows: Sequence[Dumbbell], styles: Mapping[str, Style]) -> dict[str, Style]:
    """Return the styles of the points that the lines have, in order: clean, random moves, arms, worst case."""
    order = {CLEAN: ENDS[CLEAN], **styles, WORST: ENDS[WORST]}
    return {name: style for name, style in order.items() if any(name in row.levels for row in rows)}


def _texts(rows: Sequence[Dumbbell]) -> list[Trace]:
    """Return the label of every line on the left and its remark on the right."""
    side = {"xref": "paper", "yref": "y", "showarrow": False, "yanchor": "middle"}
    texts = []
    for place, row in enumerate(rows):
        left = {"x": 0, "xanchor": "left", "text": words(row.label), "font": {"color": TEXT}}
        right = {"x": 1, "xanchor": "right", "text": words(row.remark), "font": {"color": SOFT}, "name": WIDE}
        texts += [{**side, "y": LABEL - place, **text} for text in (left, right) if text["text"]]
    return texts


def _bar(rows: Sequence[Dumbbell]) -> Trace:
    """Return the bar of every line, from its lowest to its highest point."""
    x: list[float | None] = []
    y: list[float | None] = []
    for place, row in enumerate(rows):
        values = [100 * level.value for level in row.levels.values()]
        x += [min(values), max(values), None] if values else []
        y += [MIDDLE - place, MIDDLE - place, None] if values else []
    return {"x": x, "y": y, "mode": "lines", "line": {"color": LINE, "width": 7}, "hoverinfo": "skip"}


def _markers(name: str, shown: Sequence[tuple[int, Dumbbell]], style: Style, shift: float) -> Trace:
    levels = [row.levels[name] for _, row in shown]
    ends = [level.interval or (level.value, level.value) for level in levels]
    hover = [
        words(row.label, f"{style.name}: {_numbers(level)}", row.details.get(name, ""))
        for (_, row), level in zip(shown, levels, strict=True)
    ]
    return {
        "x": [100 * level.value for level in levels],
        "y": [shift - place for place, _ in shown],
        "mode": "markers",
        "marker": {"color": style.colour, "symbol": style.marker + "-open" * (name in HOLLOW), "size": 9},
        "error_x": {
            **{"type": "data", "symmetric": False, "color": style.colour, "thickness": 1.3, "width": 0},
            "array": [100 * (high - level.value) for level, (_, high) in zip(levels, ends, strict=True)],
            "arrayminus": [100 * (level.value - low) for level, (low, _) in zip(levels, ends, strict=True)],
        },
        "hovertext": hover,
        "hoverinfo": "text",
    }


def _numbers(level: Level) -> str:
    interval = "" if level.interval is None else " ({:.1%} to {:.1%})".format(*level.interval)
    return f"{level.value:.2%}{interval}"


def _alt_text(rows: Sequence[Dumbbell], looks: Mapping[str, Style], title: str) -> str:
    lines = (
        f"{row.label}: " + ", ".join(f"{looks[n].name} {level.value:.1%}" for n, level in row.levels.items())
        for row in rows
    )
    return f"Dumbbell chart, {title}. {'; '.join(lines)}."
