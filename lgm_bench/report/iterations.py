"""What is left after every iteration of an attack (Tao et al. 2024, Fig. 9)."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lgm_bench.report.drawing import finish_axes, plot, svg
from lgm_bench.report.groups import Group, legend
from lgm_bench.report.model import Figure, Panel
from lgm_bench.results.reading import Finished

TITLE = "Iteration by iteration"
CAPTION = (
    "The share of the attacked images that the hard network gets wrong (targeted: takes for the target) after so many "
    "iterations. The steeper, the fewer iterations a gradient needs. Images may recover on the way."
)
POINTS_CAPTION = (
    "What would have been kept had the attack ended after so many iterations, which is the best iterate so far: the "
    "share of shapes that have fallen, or the mean of the scenes' own mIoUs. The steeper, the fewer are needed."
)


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
    panels = [_panel(f"{key}-iterations{number}", *one) for number, one in enumerate(shown)]
    caption = POINTS_CAPTION if any(one.points for one in groups) else CAPTION
    return [Figure(TITLE, caption, [panels], legend(groups, random=False))] if panels else []


def _panel(key: str, one: Group, lines: dict[str, np.ndarray]) -> Panel:
    main = one.any.main
    with plot() as (figure, ax):
        for name, line in lines.items():
            ax.plot(range(len(line)), 100 * line, color=one.styles[name].colour)
        ax.set_ylim(bottom=0, top=103 if main.event else None)
        up = "fallen (%)" if main.event else f"{main.label} (%)"
        finish_axes(ax, f"{one.title}, eps {one.eps}", "iteration", up)
        return Panel(svg(figure, key, _words(one, lines)))


def progress(found: Finished) -> np.ndarray | None:
    """Return one number for every iteration from 0, the clean samples, on; None where nobody looked.

    Of scenes the mean of the lowest mIoU so far; of shapes the share that has fallen by then; of images the share that
    is fallen then. Shapes and images: of those that count as attacked.
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


def _words(one: Group, lines: dict[str, np.ndarray]) -> str:
    ends = ", ".join(f"{one.styles[name].name} from {line[0]:.1%} to {line[-1]:.1%}" for name, line in lines.items())
    return f"Line plot of {one.cell.victim.name} under {one.attack}, eps {one.eps}: {ends}."
