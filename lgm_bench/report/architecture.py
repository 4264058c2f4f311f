"""Bar plots of how attacks change the architecture, per adaptive unit."""

from collections.abc import Mapping, Sequence

import numpy as np

from lgm_bench.evaluation.cells.units import eps_number
from lgm_bench.evaluation.store.tally import unit_sums
from lgm_bench.report.drawing import Style, Trace, chart, titled, words
from lgm_bench.report.groups import Group, legend
from lgm_bench.report.model import Figure, Panel
from lgm_bench.results.reading import Finished
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE

UNITS = "adaptive unit"
FAINT = 0.55
CAPTION = (
    "Share of the decisions of each adaptive unit that the attack switched on (upwards) and off (downwards, "
    "fainter), in the order of the forward pass."
)
VOXEL_CAPTION = (
    "A network on voxels computes only voxels that contain points. Share of all voxels before and after the attack "
    "that appeared (upwards) and disappeared (downwards, fainter), for each eps."
)

Shares = dict[str, np.ndarray]


def architecture(groups: Sequence[Group], sweeps: Sequence[Sequence[Group]]) -> list[Figure]:
    """Return a plot for each victim of one data set whose decisions change; one with a single unit has a bar per eps.

    Args:
        groups: One group per victim, see `groups.representative`.
        sweeps: All groups, see `groups.eps_sweeps`.
    """
    panels = []
    for group in groups:
        shares = {name: share for name, cell in group.arms.items() if (share := shares_of(cell)) is not None}
        units = max((share.shape[1] for share in shares.values()), default=0)
        if units > 1:
            title, across, labels = f"{group.title}, eps {group.eps}", UNITS, [str(unit + 1) for unit in range(units)]
        elif units:
            sweep = next(sweep for sweep in sweeps if group in sweep)
            labels = [eps_number(other.cell) for other in sweep]
            title, across, shares = group.title, group.eps_axis, _by_eps(sweep)
        if any(share.any() for share in shares.values()):
            panels.append(_panel(title, across, labels, shares, group.styles))
    points = any(group.points for group in groups)
    caption = VOXEL_CAPTION if points else CAPTION
    return [Figure("Architecture change", caption, [panels], legend(groups, random=points))] if panels else []


def _panel(
    title: str, across: str, labels: Sequence[str], shares: Mapping[str, np.ndarray], styles: Mapping[str, Style]
) -> Panel:
    traces: list[Trace] = []
    for name, (on, off) in shares.items():
        for share, sign, word, opacity in ((on, 1, "on", 1.0), (off, -1, "off", FAINT)):
            hover = [
                words(f"{styles[name].name}, {across} {x}", f"{y:.2%} {word}")
                for x, y in zip(labels, share, strict=True)
            ]
            marker = {"color": styles[name].colour, "opacity": opacity}
            bars = {"type": "bar", "x": list(range(len(labels))), "y": 100 * sign * share, "offsetgroup": name}
            traces.append({**bars, "marker": marker, "hovertext": hover, "hoverinfo": "text"})
    every = -(-len(labels) // 12)
    return Panel(
        chart(
            traces,
            _alt_text(title, across, labels, shares, styles),
            **titled(title),
            barmode="group",
            bargap=0.25,
            xaxis={
                "title": {"text": across},
                "tickvals": list(range(len(labels)))[::every],
                "ticktext": labels[::every],
            },
            yaxis={"title": {"text": "off (%)  |  on (%)"}, "zerolinecolor": "var(--soft)"},
        )
    )


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


def _alt_text(
    title: str, across: str, labels: Sequence[str], shares: Mapping[str, np.ndarray], styles: Mapping[str, Style]
) -> str:
    over = f"{len(labels)} units" if across == UNITS else f"eps {', '.join(labels)}"
    parts = [f"Bar plot of {' under '.join(title.splitlines())}; mean over {over}:"]
    parts += [
        f"{styles[name].name}: {on.mean():.2%} switched on and {off.mean():.2%} off;"
        for name, (on, off) in shares.items()
    ]
    return " ".join(parts)
