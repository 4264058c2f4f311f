"""Draws the board: what FGM leaves of every network, or what was reported, and the worst case over all gradients.

Every point is read from leaderboard/standard. `python docs/figures/board.py` writes board.svg beside itself, and
board_dark.svg for dark pages.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from style import DARK, LIGHT, style

from lgm_bench.standard.board import BoardFigure, Entry, read_board

FOLDER = Path(__file__).parent
BOARD = FOLDER.parents[1] / "leaderboard" / "standard"
WIDTH, ROW, ABOVE, BELOW = 5.8, 0.27, 0.45, 0.5
"""Width of the picture, height of a line, of what is above all lines and of what is below those of a panel, inches."""
SHIFT = 0.13
"""How far the two intervals of a line are from its middle, in lines."""


class Palette(NamedTuple):
    """The colours of one variant of the figure."""

    paper: str
    ink: str
    before: str
    worst: str
    faint: str


PALETTES = {
    "board.svg": Palette(*LIGHT, "#8a8f98", "#c8501e", "#bbbbbb"),
    "board_dark.svg": Palette(*DARK, "#a9b1bd", "#ff8f5a", "#5c626e"),
}
"""By the file that is drawn with it."""


def draw(path: Path, entries: Sequence[Entry]) -> None:
    """Draw the variant of the figure that a file of this name holds."""
    palette = PALETTES[path.name]
    scenes = [entry for entry in entries if entry.sample == "scene"]
    others = [entry for entry in entries if entry.sample != "scene"]
    panels = {"images and shapes still recognised, %": lines_of(others), "mIoU of scenes, %": lines_of(scenes)}
    panels = {name: lines for name, lines in panels.items() if lines}
    sizes = [len(lines) for lines in panels.values()]
    with rc_context(style(palette.paper, palette.ink)):
        size = WIDTH, ABOVE + ROW * sum(sizes) + BELOW * len(sizes)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(sizes), height_ratios=sizes, squeeze=False).flat
        for axis, (name, lines) in zip(axes, panels.items(), strict=True):
            _panel(axis, name, lines, palette)
        _legend(axis, palette, reported=any(entry.reported for entry in entries))
        figure.savefig(path, metadata={"Date": None})


def _panel(axis: Axes, name: str, lines: Sequence[Entry | str], palette: Palette) -> None:
    for place, line in enumerate(lines):
        if isinstance(line, Entry):
            _line(axis, place, line, palette)
    axis.set_yticks(range(len(lines)), [_label(line) for line in lines])
    for tick, line in zip(axis.get_yticklabels(), lines, strict=True):
        tick.set_fontweight("normal" if isinstance(line, Entry) else "bold")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.set_xlim(-1.5, 100.5)
    axis.set_xlabel(name)


def lines_of(entries: Sequence[Entry]) -> list[Entry | str]:
    """Return the lines of the picture: below the name of each threat model its entries, the largest gap first."""
    lines: list[Entry | str] = []
    for threat, group in groupby(entries, lambda entry: f"{entry.data}, {entry.threat}"):
        lines += [threat, *sorted(group, key=lambda entry: entry.left["worst"].value - _before(entry).value)]
    return lines


def _before(entry: Entry) -> BoardFigure:
    """Return what is compared with the worst case: what was reported, else what FGM leaves."""
    if entry.reported:
        return BoardFigure(value=entry.reported.accuracy, interval=None)
    return entry.left["fgm"]


def _label(line: Entry | str) -> str:
    return line if isinstance(line, str) else f"{line.network} ({line.n_samples:,})"


def _line(axis: Axes, place: int, entry: Entry, palette: Palette) -> None:
    before, worst = _before(entry), entry.left["worst"]
    axis.plot([100 * worst.value, 100 * before.value], [place, place], color=palette.faint, linewidth=4, zorder=1)
    clean = 100 * entry.left["clean"].value
    axis.plot([clean, clean], [place - 0.3, place + 0.3], color=palette.ink, linewidth=1)
    control = 100 * entry.left["control"].value
    axis.plot([control], [place], "o", color=palette.before, markersize=5, markerfacecolor=palette.paper)
    for figure, shift, colour, marker in (
        (before, -SHIFT, palette.before, "D" if entry.reported else "o"),
        (worst, SHIFT, palette.worst, "*"),
    ):
        ends = figure.interval or (figure.value, figure.value)
        axis.plot([100 * end for end in ends], [place + shift] * 2, color=colour, linewidth=1.3)
        size = 9 if marker == "*" else 5
        axis.plot([100 * figure.value], [place + shift], marker, color=colour, markersize=size, markeredgewidth=0)


def _legend(axis: Axes, palette: Palette, *, reported: bool) -> None:
    looks = {"no attack": ("|", palette.ink, 9), "FGM": ("o", palette.before, 5)}
    looks |= {"reported": ("D", palette.before, 5)} if reported else {}
    looks |= {"control": ("o", palette.before, 5), "worst case": ("*", palette.worst, 9)}
    handles = [
        axis.plot([], [], marker, color=colour, markersize=size, label=name)[0]
        for name, (marker, colour, size) in looks.items()
    ]
    handles[-2].set_markerfacecolor(palette.paper)
    axis.figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False)


if __name__ == "__main__":
    for name in PALETTES:
        draw(FOLDER / name, read_board(BOARD))
