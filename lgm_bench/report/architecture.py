"""Bar plots of how attacks change the architecture, per adaptive unit."""

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
    "Share of the decisions of each adaptive unit that the attack switched on (upwards) and off (downwards, "
    "fainter), in the order of the forward pass."
)
VOXEL_CAPTION = (
    "A network on voxels computes only voxels that contain points. Share of all voxels before and after the attack "
    "that appeared (upwards) and disappeared (downwards, fainter), for each eps."
)

Shares = dict[str, np.ndarray]
Styles = Mapping[str, Style]


def architecture(key: str, groups: Sequence[Group], sweeps: Sequence[Sequence[Group]]) -> list[Figure]:
    """Return a plot for each victim of one data set; a victim with a single unit is shown for each eps.

    Args:
        key: Prefix of ids inside the picture, unique on the page.
        groups: One group per victim, see `groups.representative`.
        sweeps: All groups, see `groups.eps_sweeps`.
    """
    panels = []
    for number, group in enumerate(groups):
        shares = {name: share for name, cell in group.arms.items() if (share := shares_of(cell)) is not None}
        units = max((share.shape[1] for share in shares.values()), default=0)
        if units > 1:
            title, labels = f"{group.title}, eps {group.eps}", [str(unit + 1) for unit in range(units)]
            panels.append(_panel(f"{key}-architecture{number}", title, UNITS, labels, shares, group.styles))
        elif units:
            sweep = next(sweep for sweep in sweeps if group in sweep)
            labels = [eps_number(other.cell) for other in sweep]
            across, by_eps = group.eps_axis, _by_eps(sweep)
            panels.append(_panel(f"{key}-architecture{number}", group.title, across, labels, by_eps, group.styles))
    points = any(group.points for group in groups)
    caption = VOXEL_CAPTION if points else CAPTION
    return [Figure("Architecture change", caption, [panels], legend(groups, random=points))] if panels else []


def _panel(key: str, title: str, across: str, labels: Sequence[str], shares: Shares, styles: Styles) -> Panel:
    with plot() as (figure, ax):
        _bars(ax, labels, shares, styles)
        finish_axes(ax, title, across, "off (%)  |  on (%)")
        return Panel(svg(figure, key, _alt_text(title, across, labels, shares, styles)))


def shares_of(finished: Finished) -> np.ndarray | None:
    """Return the shares (2, U) of decisions switched on and off; None for a victim without adaptive units."""
    if finished.result.metrics[ARCHITECTURE_CHANGE.name] is None:
        return None
    _, on_to_off, off_to_on, positions = unit_sums(finished.rows())
    return np.stack([off_to_on / positions, on_to_off / positions]) if (positions > 0).all() else None


def _by_eps(sweep: Sequence[Group]) -> Shares:
    """Return the shares (2, number of eps) of the single unit, by arm."""
    by_arm: Shares = {}
    for name in sweep[0].styles:
        shares = [shares_of(group.shown[name]) if name in group.shown else None for group in sweep]
        if any(share is not None for share in shares):
            by_arm[name] = np.stack([np.zeros(2) if share is None else share[:, 0] for share in shares], axis=1)
    return by_arm


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


def _alt_text(title: str, across: str, labels: Sequence[str], shares: Shares, styles: Styles) -> str:
    over = f"{len(labels)} units" if across == UNITS else f"eps {', '.join(labels)}"
    parts = [f"Bar plot of {' under '.join(title.splitlines())}; mean over {over}:"]
    parts += [
        f"{styles[name].name}: {on.mean():.2%} switched on and {off.mean():.2%} off;"
        for name, (on, off) in shares.items()
    ]
    return " ".join(parts)
