"""Draws the figure of the page on performance: how an iteration of an attack on a point cloud grows with its points.

The numbers are in cloud_growth.txt beside this file, lines as `python benchmarks/clouds.py` prints them.
`python docs/figures/cloud_growth.py` writes cloud_growth.svg, and cloud_growth_dark.svg for dark pages.
"""

from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

FOLDER = Path(__file__).parent
TICKS = {"seconds": (0.2, 0.5, 1, 2, 5, 10), "megabytes": (50, 100, 200, 500, 1000, 2000, 5000)}
POINTS = (10_000, 30_000, 100_000, 300_000, 1_000_000)


class Palette(NamedTuple):
    """The colours of one variant of the figure."""

    paper: str
    ink: str
    faint: str
    fgm: str
    lgm: str


class Line(NamedTuple):
    """One printed line: seconds and megabytes of an iteration on so many points."""

    points: int
    gradient: str
    way: str
    seconds: float
    megabytes: float


PALETTES = {
    "cloud_growth.svg": Palette("white", "black", "#d9d9d9", "#4d4d4d", "#c8501e"),
    "cloud_growth_dark.svg": Palette("#1f2129", "#e6e6e6", "#3a3f4a", "#a9b1bd", "#ff8f5a"),
}
"""By the file that is drawn with it."""


def lines() -> list[Line]:
    """Return the lines of the file."""
    found = []
    for line in (FOLDER / "cloud_growth.txt").read_text().splitlines():
        _, points, gradient, way, seconds, megabytes = (part.strip().replace(",", "") for part in line.split("|"))
        numbers = [float(text.split()[0]) for text in (points, seconds, megabytes)]
        found.append(Line(int(numbers[0]), gradient, way, *numbers[1:]))
    return found


def draw(path: Path) -> None:
    """Draw the variant of the figure that a file of this name holds."""
    palette = PALETTES[path.name]
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), palette.ink)
    style = {"svg.hashsalt": "lgm-bench", "axes.spines.top": False, "axes.spines.right": False, **ink}
    style |= {"figure.facecolor": palette.paper, "axes.facecolor": palette.paper, "axes.titlelocation": "left"}
    with rc_context(style):
        figure = Figure(figsize=(10.5, 3.4), layout="constrained")
        for axis, name in zip(figure.subplots(1, 2), TICKS, strict=True):
            for way, dashes in (("plain", (4, 2)), ("compiled", (None, None))):
                for gradient, colour in (("FGM", palette.fgm), ("LGM", palette.lgm)):
                    own = sorted(line for line in lines() if (line.gradient, line.way) == (gradient, way))
                    values = [getattr(line, name) for line in own]
                    label = f"{gradient}, {'plain PyTorch' if way == 'plain' else 'compiled'}"
                    points = [line.points for line in own]
                    axis.plot(points, values, "o-", dashes=dashes, color=colour, label=label, markersize=4)
            axis.set(xscale="log", yscale="log", xlabel="points of a room", title=f"{name} of an iteration")
            axis.grid(color=palette.faint, linewidth=0.6)
            axis.set_axisbelow(True)
            axis.minorticks_off()
            axis.set_yticks(TICKS[name], [f"{value:,}" for value in TICKS[name]])
            axis.set_xticks(POINTS, [f"{value:,}" for value in POINTS])
        axis.legend(frameon=False, loc="upper left")
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    for name in PALETTES:
        draw(FOLDER / name)
