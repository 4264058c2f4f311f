"""How attacks change the architecture, adaptive unit by adaptive unit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lgm_bench.evaluation.cells.units import eps_number
from lgm_bench.evaluation.store.tally import unit_sums
from lgm_bench.report.drawing import NEUTRAL, Style, finish_axes, plot, svg
from lgm_bench.report.groups import Group, legend
from lgm_bench.report.model import Figure, Panel
from lgm_bench.results.reading import Finished
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE

UNITS = "adaptive unit"
CAPTION = (
    "Of all decisions of each adaptive unit, the share that the attack switched on (upwards) and off (downwards, "
    "fainter), in the order of the forward pass."
)
VOXEL_CAPTION = (
    "A network on voxels computes only voxels that hold points. Of all voxels before and after the attack, the share "
    "that appeared (upwards) and that disappeared (downwards, fainter), for each eps."
)

Shares = dict[str, np.ndarray]
Styles = Mapping[str, Style]


def architecture(key: str, groups: Sequence[Group], together: Sequence[Sequence[Group]]) -> list[Figure]:
    """Return the changes of every victim of one data set.

    Args:
        key: Of the data set, for names inside the picture.
        groups: One for each victim, see `groups.telling`.
        together: All of them, see `groups.series`: units that are alone are shown for each eps.
    """
    panels = []
    for number, one in enumerate(groups):
        shares = {name: share for name, found in one.arms.items() if (share := shares_of(found)) is not None}
        units = max((share.shape[1] for share in shares.values()), default=0)
        if units > 1:
            title, labels = f"{one.title}, eps {one.eps}", [str(unit + 1) for unit in range(units)]
            panels.append(_panel(f"{key}-architecture{number}", title, UNITS, labels, shares, one.styles))
        elif units:
            ones = next(ones for ones in together if one in ones)
            title, labels = one.title, [eps_number(same.cell) for same in ones]
            across, by_eps = one.eps_axis, _by_eps(ones)
            panels.append(_panel(f"{key}-architecture{number}", title, across, labels, by_eps, one.styles))
    points = any(one.points for one in groups)
    caption = VOXEL_CAPTION if points else CAPTION
    return [Figure("Architecture change", caption, [panels], legend(groups, random=points))] if panels else []


def _panel(key: str, title: str, across: str, labels: Sequence[str], shares: Shares, styles: Styles) -> Panel:
    with plot() as (figure, ax):
        _bars(ax, labels, shares, styles)
        finish_axes(ax, title, across, "off (%)  |  on (%)")
        return Panel(svg(figure, key, _words(title, across, labels, shares, styles)))


def shares_of(found: Finished) -> np.ndarray | None:
    """Return (2, U) shares of decisions, switched on and switched off; None for a victim without adaptive units."""
    if found.result.metrics[ARCHITECTURE_CHANGE.name] is None:
        return None
    _, on_to_off, off_to_on, positions = unit_sums(found.rows())
    return np.stack([off_to_on / positions, on_to_off / positions]) if (positions > 0).all() else None


def _by_eps(ones: Sequence[Group]) -> Shares:
    found: Shares = {}
    for name in ones[0].styles:
        shares = [shares_of(same.shown[name]) if name in same.shown else None for same in ones]
        if any(share is not None for share in shares):
            found[name] = np.stack([np.zeros(2) if share is None else share[:, 0] for share in shares], axis=1)
    return found


def _bars(ax: Any, labels: Sequence[str], shares: Shares, styles: Styles) -> None:
    place, width = np.arange(len(labels)), 0.8 / len(shares)
    for number, (name, (on, off)) in enumerate(shares.items()):
        at = place + (number - (len(shares) - 1) / 2) * width
        ax.bar(at, 100 * on, width, color=styles[name].colour)
        ax.bar(at, -100 * off, width, color=styles[name].colour, alpha=0.55)
    ax.axhline(0, color=NEUTRAL, linewidth=0.8)
    every = -(-len(labels) // 12)
    ax.set_xticks(place[::every], labels[::every])
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    ax.grid(visible=False, axis="x")


def _words(title: str, across: str, labels: Sequence[str], shares: Shares, styles: Styles) -> str:
    over = f"{len(labels)} units" if across == UNITS else f"eps {', '.join(labels)}"
    parts = [f"Bar plot of {' under '.join(title.splitlines())}; mean over {over}:"]
    parts += [
        f"{styles[name].name}: {on.mean():.2%} switched on and {off.mean():.2%} off;"
        for name, (on, off) in shares.items()
    ]
    return " ".join(parts)
