"""Plots of the relation functions: how much a point belongs to a voxel (Tao et al. 2024, Fig. 6)."""

import torch

from lgm_bench.report.drawing import NEUTRAL, finish_axes, plot, svg
from lgm_bench.report.model import Figure, Panel
from lgm_bench.voxels.relation import RELATIONS

SLOPES = {"sigmoid": (5.0, 10.0, 40.0), "bilinear": (1.0,), "rbf": (2.0, 5.0, 20.0)}
REACH = 1.2
CAPTION = (
    "How much a point belongs to a voxel, over its distance from the voxel's centre along one axis. Dotted lines are "
    "the voxel's faces, where the hard relation jumps from 1 to 0 and the smooth ones have a gradient. A larger "
    "slope brings the sigmoid closer to the hard relation and makes the bell of rbf narrower; bilinear has no slope."
)
SHAPES = {
    "sigmoid": "A plateau over the voxel that falls through one half at its faces, the steeper the larger the slope.",
    "bilinear": "A triangle from 1 at the centre to 0 at the neighbours' centres.",
    "rbf": "A bell around the centre, the narrower the larger the slope.",
}
SHADES = ("#2f7fd0", "#d97706", "#3a9d5d")


def relations() -> list[Figure]:
    """Return the relation functions at a few slopes."""
    return [Figure("Relation functions", CAPTION, [[_panel(name) for name in RELATIONS]])]


def _panel(name: str) -> Panel:
    place = torch.linspace(-REACH, REACH, 161, dtype=torch.float64)
    with plot() as (figure, ax):
        for face in (-0.5, 0.5):
            ax.axvline(face, color=NEUTRAL, linestyle=":", linewidth=1)
        for slope, shade in zip(SLOPES.get(name, (5.0, 10.0, 40.0)), SHADES, strict=False):
            values = RELATIONS[name](place.abs()[:, None], slope).exp()
            label = "no slope" if name == "bilinear" else f"slope {slope:g}"
            ax.plot(place.numpy(), values.numpy(), color=shade, label=label)
        ax.set_ylim(-0.03, 1.5)
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
        ax.legend(loc="upper right", fontsize=7.5, handlelength=1.2)
        finish_axes(ax, name, "distance (voxels)", "relation")
        return Panel(svg(figure, f"relation-{name}", f"Line plot of the relation {name}. {SHAPES.get(name, '')}"))
