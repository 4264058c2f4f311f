"""Draws the figure of the page on concepts: one input, one gate, and the step that FGM and LGM take before it.

Every curve and arrow is computed by the functions that the benchmark runs. `python docs/figures/lagged_and_leaded.py`
writes lagged_and_leaded.svg beside itself, and lagged_and_leaded_dark.svg for dark pages.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from style import DARK, LIGHT, style
from torch import Tensor, nn

from lgm_bench import FGM, LGM, Occupancy
from lgm_bench.leaded.gradient import GradientMethod

FOLDER = Path(__file__).parent
START, EPS, SLOPE, GATE = 0.8, 0.5, 5.0, 1.0


class Palette(NamedTuple):
    """The colours of one variant of the figure."""

    paper: str
    ink: str
    hard: str
    leaded: str
    gate: str


PALETTES = {
    "lagged_and_leaded.svg": Palette(*LIGHT, "#4d4d4d", "#c8501e", "#bbbbbb"),
    "lagged_and_leaded_dark.svg": Palette(*DARK, "#a9b1bd", "#ff8f5a", "#5c626e"),
}
"""By the file that is drawn with it."""


class OneGate(nn.Module):
    """The loss of a network of one input: a gate that opens at `GATE` adds a block, all else falls slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.occupancy = Occupancy()

    def forward(self, x: Tensor) -> Tensor:
        return 1 - 0.3 * x + self.occupancy(x - GATE)


class Evaluated(NamedTuple):
    """Values and slopes of a function at some inputs."""

    value: Tensor
    slope: Tensor


def evaluated(network: nn.Module, method: GradientMethod, x: Tensor) -> Evaluated:
    """Return what a network gives at (N,) inputs under a gradient method, and its derivative."""
    x = x.clone().requires_grad_()
    with method.applied_to(network):
        value = network(x)
    # 0 * x: with hard occupancy alone there is no graph at all, which is the zero that is drawn
    (slope,) = torch.autograd.grad((value + 0 * x).sum(), x)
    return Evaluated(value.detach(), slope)


class Gate(nn.Module):
    """The gate alone."""

    def __init__(self) -> None:
        super().__init__()
        self.occupancy = Occupancy()

    def forward(self, x: Tensor) -> Tensor:
        return self.occupancy(x - GATE)


def stepped(method: GradientMethod) -> tuple[float, float]:
    """Return where a sign step from `START` ends, and the hard network's loss there."""
    network, start = OneGate(), torch.tensor([START])
    end = start + EPS * evaluated(network, method, start).slope.sign()
    return float(end), float(evaluated(network, FGM(), end).value)


def draw(path: Path) -> None:
    """Draw the variant of the figure that a file of this name holds."""
    palette, x = PALETTES[path.name], torch.linspace(0, 2, 401)
    with rc_context(style(palette.paper, palette.ink)):
        figure = Figure(figsize=(10.5, 3.2), layout="constrained")
        axes = figure.subplots(1, 3)
        _occupancy(axes[0], x, palette)
        _slopes(axes[1], x, palette)
        _loss(axes[2], x, palette)
        for axis in axes:
            axis.axvline(GATE, color=palette.gate, linewidth=0.8, linestyle=":", zorder=0)
            axis.set_xlabel("input x")
            axis.set_xlim(0, 2)
        figure.savefig(path, metadata={"Date": None})


def _occupancy(axis: Axes, x: Tensor, palette: Palette) -> None:
    axis.set_title("occupancy of a block, gate at x = 1")
    axis.plot(x, evaluated(Gate(), FGM(), x).value, color=palette.hard, label="hard: what the network does")
    axis.plot(x, evaluated(Gate(), LGM(SLOPE), x).value, color=palette.leaded, label=f"leaded: sigmoid({SLOPE:g} q)")
    axis.set_ylim(-0.05, 1.45)
    axis.set_yticks([0, 0.5, 1])
    axis.legend(loc="upper left", frameon=False)


def _slopes(axis: Axes, x: Tensor, palette: Palette) -> None:
    axis.set_title("its derivative")
    axis.plot(x, evaluated(Gate(), FGM(), x).slope, color=palette.hard, label="hard: zero everywhere")
    axis.plot(x, evaluated(Gate(), LGM(SLOPE), x).slope, color=palette.leaded, label="leaded: points to the gate")
    axis.set_ylim(-0.05, 1.75)
    axis.legend(loc="upper left", frameon=False)


def _loss(axis: Axes, x: Tensor, palette: Palette) -> None:
    axis.set_title(f"hard network's loss, one step of {EPS:g}")
    for side in (x < GATE, x > GATE):
        axis.plot(x[side], evaluated(OneGate(), FGM(), x[side]).value, color=palette.ink, linewidth=1)
    start = float(evaluated(OneGate(), FGM(), torch.tensor([START])).value)
    axis.plot(START, start, "o", color=palette.ink, zorder=3)
    axis.annotate("clean", (START, start), (0, -13), textcoords="offset points", ha="center")
    for method, colour, name in ((FGM(), palette.hard, "FGM"), (LGM(SLOPE), palette.leaded, "LGM")):
        end, loss = stepped(method)
        arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.8, "shrinkA": 4, "shrinkB": 4}
        axis.annotate("", (end, loss), (START, start), arrowprops=arrow)
        axis.plot(end, loss, "o", color=colour, zorder=3)
        place = {"xytext": (0, 9), "textcoords": "offset points", "ha": "center"}
        axis.annotate(f"{name}: {loss:.2f}", (end, loss), color=colour, **place)
    axis.set_ylim(0.3, 2.1)


if __name__ == "__main__":
    for name in PALETTES:
        draw(FOLDER / name)
