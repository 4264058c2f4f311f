"""Plots as SVG in the page's colours, and pictures as PNG or JPEG, for embedding in HTML."""

import base64
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEUTRAL = "#999999"
ARM_COLOURS = ("#d97706", "#2f7fd0", "#3a9d5d", "#c2417c", "#7a6ff0", "#8a6d3b")
"""Colours of the baseline and of the other arms, in order; readable on white and on nearly black."""
MARKERS = ("o", "s", "^", "D", "v", "P")
RANDOM = "random"
JPEG_FROM = 96 * 96
"""Number of pixels from which pictures are JPEG, which takes a tenth of a PNG's space for noise."""
Margins = tuple[float, float, float, float]
MARGINS: Margins = (0.55, 0.1, 0.45, 0.42)
_INK = "#010203"  # a unique black, which is replaced by the page's text colour

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lgm-bench",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": NEUTRAL,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
}


@dataclass(frozen=True)
class Style:
    """How an arm is drawn and named.

    Attributes:
        name: Name in legends and labels.
        colour: HTML colour.
        marker: Matplotlib marker.
    """

    name: str
    colour: str
    marker: str


def arm_styles(gradients: Sequence[str]) -> dict[str, Style]:
    """Return the style of random moves and of each gradient; colours and markers follow the order of the gradients."""
    looks = zip(gradients, itertools.cycle(zip(ARM_COLOURS, MARKERS, strict=True)), strict=False)
    arms = {name: Style(gradient_name(name), colour, marker) for name, (colour, marker) in looks}
    return {RANDOM: Style("random moves", "#a45bb5", "o"), **arms}


@contextmanager
def plot(width: float = 3.1, height: float = 2.4, margins: Margins = MARGINS) -> Iterator[Any]:
    """Yield a matplotlib figure and its axes, in the report's style and without a display.

    Args:
        width: Width, inches.
        height: Height, inches.
        margins: Left, right, bottom and top margin of the axes, inches; automatic ones would double the time.
    """
    matplotlib = require("matplotlib", "drawing the report")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        left, right, bottom, top = margins
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
        yield figure, figure.add_axes(box)


def svg(figure: "Figure", key: str, alt: str) -> Markup:
    """Return a plot as SVG for embedding in a page.

    Args:
        figure: A figure from `plot`.
        key: Prefix of the ids inside the SVG, unique on the page.
        alt: Text alternative for screen readers.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'\bid="([^"]*)"', rf'id="{key}-\1"', text)
    text = re.sub(r"url\(#", rf"url(#{key}-", text)
    text = re.sub(r'xlink:href="#', rf'href="#{key}-', text)
    text = text.replace(_INK, "currentColor")
    head = re.match(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', text)
    box = head.group(1) if head else "0 0 100 100"
    opening = Markup('<svg viewBox="{}" role="img" aria-label="{}">').format(box, alt)
    return opening + Markup(text[text.index(">") + 1 :])


def picture(pixels: np.ndarray, alt: str, *, scale: int = 1) -> Markup:
    """Return an image as an <img> tag.

    Args:
        pixels: (H, W, 3) uint8, or (H, W, 4) with transparency.
        alt: Text alternative for screen readers.
        scale: Width of each pixel in pixels of the page; from 2 on they keep sharp edges.
    """
    height, width = pixels.shape[:2]
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    photo = pixels.shape[2] == 3 and height * width >= JPEG_FROM
    if photo:
        image.save(stream, "JPEG", quality=88)
    else:
        image.quantize(128, method=Image.Quantize.FASTOCTREE).save(stream, "PNG", optimize=True)
    source = f"data:image/{'jpeg' if photo else 'png'};base64,{base64.b64encode(stream.getvalue()).decode()}"
    kind = "pixels" if scale > 1 else ""
    return Markup('<img class="{}" src="{}" width="{}" height="{}" alt="{}">').format(
        kind, source, width * scale, height * scale, alt
    )


def finish_axes(axes: "Axes", title: str, across: str, up: str) -> None:
    """Set title and axis labels."""
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
