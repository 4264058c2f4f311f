"""Plots of the relation functions: how much a point belongs to a voxel (Tao et al. 2024, Fig. 6)."""

from collections.abc import Callable

import torch
from torch import Tensor

from lgm_bench.report.drawing import NEUTRAL, chart, titled, words
from lgm_bench.report.model import Figure, Panel
from lgm_bench.voxels.relation import RELATIONS

SLOPES = {"sigmoid": (5.0, 10.0, 40.0), "bilinear": (1.0,), "rbf": (2.0, 5.0, 20.0)}
REACH = 1.2
CAPTION = (
    "Above, how much a point belongs to a voxel, over its distance from the voxel's centre along one axis; below, the "
    "derivative, which is what an attack can follow. Dotted lines are the voxel's faces, where the hard relation jumps "
    "from 1 to 0 and has no derivative. A larger slope brings the sigmoid closer to the hard relation and makes the "
    "bell of rbf narrower; bilinear has no slope."
)
SHAPES = {
    "sigmoid": "A plateau over the voxel that falls through one half at its faces, the steeper the larger the slope.",
    "bilinear": "A triangle from 1 at the centre to 0 at the neighbours' centres.",
    "rbf": "A bell around the centre, the narrower the larger the slope.",
}
SHADES = ("#2f7fd0", "#d97706", "#3a9d5d")


def relations() -> list[Figure]:
    """Return the relation functions at a few slopes, and their derivatives."""
    functions = [_panel(name, name, "relation", _relation) for name in RELATIONS]
    derivatives = [_panel(name, f"derivative of {name}", "per voxel", _derivative) for name in RELATIONS]
    return [Figure("Relation functions and their derivatives", CAPTION, [functions, derivatives])]


def _relation(name: str, place: Tensor, slope: float) -> Tensor:
    return RELATIONS[name](place.abs()[:, None], slope).exp()


def _derivative(name: str, place: Tensor, slope: float) -> Tensor:
    place = place.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_relation(name, place, slope).sum(), place)
    return gradient


def _panel(name: str, title: str, up: str, function: Callable[[str, Tensor, float], Tensor]) -> Panel:
    place = torch.linspace(-REACH, REACH, 241, dtype=torch.float64)
    traces = []
    for slope, shade in zip(SLOPES.get(name, (5.0, 10.0, 40.0)), SHADES, strict=False):
        values = function(name, place, slope)
        label = words("no slope" if name == "bilinear" else f"slope {slope:g}")
        line = {"mode": "lines", "name": label, "line": {"color": shade}, "hovertemplate": "%{y:.3f} at %{x:.2f}"}
        traces.append({"x": place.numpy().round(3), "y": values.numpy().round(5), **line})
    faces = [
        {
            "type": "line",
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "x0": face,
            "x1": face,
            "line": {"color": NEUTRAL, "dash": "dot"},
        }
        for face in (-0.5, 0.5)
    ]
    return Panel(
        chart(
            traces,
            f"Line plot: {title}. {SHAPES.get(name, '')}",
            **titled(title),
            showlegend=True,
            legend={"orientation": "h", "y": -0.3, "yanchor": "top", "font": {"size": 11}},
            margin={"l": 44, "r": 10, "t": 30, "b": 70},
            height=280,
            shapes=faces,
            xaxis={"title": {"text": "distance (voxels)"}},
            yaxis={"title": {"text": up}},
        )
    )
