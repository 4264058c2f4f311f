"""Charts in the page's colours, and pictures as PNG or JPEG, for embedding in HTML."""

import base64
import gzip
import html
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from PIL import Image

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.extras import require

NEUTRAL = "#999999"
ARM_COLOURS = ("#d97706", "#2f7fd0", "#3a9d5d", "#c2417c", "#7a6ff0", "#8a6d3b")
"""Colours of the baseline and of the other arms, in order; readable on white and on nearly black."""
CLASS_COLOURS = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#bcbd22", "#17becf"),
    *("#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#c49c94", "#f7b6d2", "#dbdb8d", "#9edae5"),
)
"""Colours of classes, strong before pale ones, without greys."""
MARKERS = {
    **{"circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆", "triangle-down": "▼", "cross": "✚"},
    "star": "★",
}
"""Plotly's names of markers, those of the arms first, with the characters that stand for them in a legend."""
RANDOM = "random"
TEXT, SOFT, LINE, BACK = "var(--text)", "var(--soft)", "var(--line)", "var(--back)"
"""Colours of the page, which differ between light and dark."""
JPEG_FROM = 96 * 96
"""Number of pixels from which pictures are JPEG, which takes a tenth of a PNG's space for noise."""


@dataclass(frozen=True)
class Style:
    """How an arm is drawn and named.

    Attributes:
        name: Name in legends and labels.
        colour: HTML colour.
        marker: Plotly's name of the marker, one of `MARKERS`.
    """

    name: str
    colour: str
    marker: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Entry of a legend: colour, name and the character of the marker."""
        return self.colour, self.name, MARKERS[self.marker]


def arm_styles(gradients: Sequence[str]) -> dict[str, Style]:
    """Return the style of random moves and of each gradient; colours and markers follow the order of the gradients."""
    looks = zip(gradients, itertools.cycle(zip(ARM_COLOURS, MARKERS, strict=False)), strict=False)
    arms = {name: Style(gradient_name(name), colour, marker) for name, (colour, marker) in looks}
    return {RANDOM: Style("random moves", "#a45bb5", "circle"), **arms}


def class_colours(n: int) -> list[str]:
    """Return n colours for classes; more than there are `CLASS_COLOURS` go round the colour wheel."""
    if n <= len(CLASS_COLOURS):
        return list(CLASS_COLOURS[:n])
    return [f"hsl({360 * number // n}, 65%, 50%)" for number in range(n)]


WIDE = "wide"
"""Name of annotations that a narrow screen leaves out."""
Trace = dict[str, Any]
AXIS = {
    **{"gridcolor": LINE, "zerolinecolor": LINE, "linecolor": LINE, "tickcolor": LINE, "automargin": True},
    "fixedrange": True,
}
FONT = {"family": 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif', "size": 12, "color": TEXT}
LAYOUT = {
    "font": FONT,
    **{"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"},
    "margin": {"l": 44, "r": 10, "t": 44, "b": 40},
    "hoverlabel": {"bgcolor": BACK, "bordercolor": LINE, "font": FONT, "align": "left"},
    **{"showlegend": False, "dragmode": False, "hovermode": "closest"},
}


def chart(traces: Sequence[Trace], alt: str, *, height: int = 260, **layout: Any) -> Markup:
    """Return a chart, which the page's script draws with plotly; hovering over it shows its numbers.

    Args:
        traces: Plotly's traces.
        alt: Text alternative for screen readers.
        height: Height, CSS pixels.
        layout: Plotly's layout beside `LAYOUT` and, for each axis, `AXIS`.
    """
    axes = {name: AXIS | layout.get(name, {}) for name in {"xaxis", "yaxis", *layout} if name[1:5] == "axis"}
    spec = {"data": traces, "layout": LAYOUT | layout | axes | {"height": height}}
    data = htmlsafe_json_dumps(spec, allow_nan=False, default=lambda array: array.tolist())
    opening = Markup('<div class="chart" role="img" aria-label="{}" style="height: {}px">').format(alt, height)
    return opening + Markup('<script type="application/json">{}</script></div>').format(data)


def words(*lines: str) -> str:
    """Return lines of text for a chart, in which no name is read as markup."""
    return "<br>".join(html.escape(line, quote=False) for line in lines if line)


def titled(text: str) -> dict[str, Any]:
    """Return the part of a chart's layout that writes a title of one or two lines above it, on the left."""
    above = {"x": 0, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 4}
    text = words(*text.splitlines())
    return {"annotations": [{**above, "text": text, "showarrow": False, "align": "left", "font": {"size": 13}}]}


def packed_plotly() -> str:
    """Return plotly's script, compressed with gzip and in base64, which the page unpacks.

    Raises:
        ConfigError: Plotly is not installed.
    """
    script = require("plotly.offline", "drawing the report").get_plotlyjs()
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


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
