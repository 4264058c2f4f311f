"""How often each adaptive unit runs for each class (Tao et al. 2024, Fig. 7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lgm_bench.extras import require
from lgm_bench.report.drawing import LINE, TEXT, Trace, chart, class_colours, titled, words
from lgm_bench.report.groups import Group, class_name
from lgm_bench.report.model import Figure, Panel
from lgm_bench.results.reading import Finished
from lgm_bench.tasks.columns import unit_counts

MAP_CAPTION = (
    "How often each adaptive unit runs (dark: never; bright: always) for the clean images of each class. For "
    "networks that decide per pixel this is the mean share of pixels. If rows differ, classes take different paths "
    "through the network; an attack can change these decisions."
)
PLANE_CAPTION = (
    "Each image is described only by the units that run for it. It stands here twice, clean and after the attack, with "
    "a line between the two. t-SNE places similar decisions close to each other, so a long line is an image whose path "
    "through the network the attack has changed. Colours are the true classes. Distances between distant groups have "
    "no meaning."
)
FEWEST_POINTS, MOST_POINTS, MOST_CLASSES_NAMED = 10, 200, 24
VISIBLE = 0.005
"""Smallest difference of a unit's share between two classes that a map is drawn for."""


@dataclass(frozen=True)
class Executions:
    """Which decisions are on for n images, before and after an attack.

    Attributes:
        clean: (n, U) share of each unit's decisions that are on for the clean image.
        attacked: (n, U) the same after the attack.
        labels: (n,) int64.
        predictions: (n,) int64, of the hard network after the attack.
        fallen: (n,) bool, whether the attack succeeded.
        ids: Names of the images.
    """

    clean: np.ndarray
    attacked: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    fallen: np.ndarray
    ids: Sequence[str]


def executions(finished: Finished) -> Executions | None:
    """Return the executions of a cell; None for fewer than two units, and for tasks without one label per sample."""
    if "label" not in finished.result.kind.schema().names:
        return None
    rows = _first_of_each(finished.rows())
    on, on_to_off, off_to_on, positions = unit_counts(rows)
    if on.shape[1] < 2:
        return None
    of_all = np.maximum(positions, 1)
    labels, predictions, fallen = (
        rows.column(name).to_numpy() for name in ("label", "adversarial_prediction", "success")
    )
    after = (on - on_to_off + off_to_on) / of_all
    return Executions(on / of_all, after, labels, predictions, fallen, rows.column("id").to_pylist())


def execution_maps(groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return heat maps of execution by class, one for each victim of one data set whose classes differ."""
    panels = []
    for group in groups:
        executed = executions(next(iter(group.arms.values())))
        if executed is not None:
            classes = np.unique(executed.labels)
            means = np.stack([executed.clean[executed.labels == label].mean(0) for label in classes])
            if np.ptp(means, axis=0).max() > VISIBLE:
                panels.append(_map(group.cell.victim.name, means, [class_name(names, k) for k in classes.tolist()]))
    return [Figure("Execution of each unit by class", MAP_CAPTION, [panels])] if panels else []


def _map(victim: str, means: np.ndarray, classes: Sequence[str]) -> Panel:
    units = [str(unit + 1) for unit in range(means.shape[1])]
    hover = [
        [words(name, f"unit {unit}: {mean:.1%} executed") for unit, mean in zip(units, row, strict=True)]
        for name, row in zip(classes, means.tolist(), strict=True)
    ]
    heat = {"type": "heatmap", "z": 100 * means, "x": units, "y": list(range(len(classes))), "zmin": 0, "zmax": 100}
    bar = {"title": {"text": "executed (%)", "side": "right"}, "thickness": 12, "outlinewidth": 0}
    every = -(-len(classes) // MOST_CLASSES_NAMED)
    labels = {
        "tickvals": list(range(len(classes)))[::every],
        "ticktext": [words(name[:16]) for name in classes][::every],
    }
    unit = int(np.ptp(means, axis=0).argmax())
    alt = (
        f"Heat map of {victim}: {len(classes)} classes, {means.shape[1]} units, {means.mean():.1%} executed on "
        f"average; unit {unit + 1} differs most between classes, from {means[:, unit].min():.0%} to "
        f"{means[:, unit].max():.0%}."
    )
    return Panel(
        chart(
            [{**heat, "colorscale": "Viridis", "colorbar": bar, "hoverinfo": "text", "hovertext": hover}],
            alt,
            height=110 + 16 * min(len(classes), 40),
            **titled(victim),
            margin={"l": 70, "r": 10, "t": 30, "b": 40},
            xaxis={"title": {"text": "adaptive unit"}, "showgrid": False},
            yaxis={"autorange": "reversed", "showgrid": False, "tickfont": {"size": 10}, **labels},
        ),
        width=380,
    )


def execution_planes(groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return t-SNE plots of clean and attacked execution vectors, one for each victim of one data set."""
    shown = []
    for group in groups:
        arm = list(group.arms)[min(1, len(group.arms) - 1)]
        executed = executions(group.arms[arm])
        if executed is not None and len(executed.ids) >= FEWEST_POINTS and len(np.unique(executed.clean, axis=0)) > 2:
            shown.append(
                (f"{group.cell.victim.name}\n{group.attack}, eps {group.eps}, {group.styles[arm].name}", executed)
            )
    classes = sorted({label for _, executed in shown for label in np.unique(executed.labels).tolist()})
    colours = dict(zip(classes, class_colours(len(classes)), strict=True))
    panels = [_plane(title, executed, colours, names) for title, executed in shown]
    named = [(colour, class_name(names, label), "■") for label, colour in colours.items()]
    markers = [(TEXT, "clean", "○"), (TEXT, "attacked", "●"), (TEXT, "attacked and fallen", "✕")]
    legend = [*markers, *(named if len(named) <= MOST_CLASSES_NAMED else ())]
    return [Figure("Decisions of clean and attacked images (t-SNE)", PLANE_CAPTION, [panels], legend)] if panels else []


def _plane(title: str, executed: Executions, colours: dict[int, str], names: Sequence[str]) -> Panel:
    n = min(len(executed.ids), MOST_POINTS)
    places = _laid_out(np.concatenate([executed.clean[:n], executed.attacked[:n]]))
    before, after = np.round(places[:n], 2), np.round(places[n:], 2)
    gaps = np.full((n, 1), np.nan)
    x, y = (np.hstack([before[:, [axis]], after[:, [axis]], gaps]).ravel() for axis in (0, 1))
    links = {"x": _with_gaps(x), "y": _with_gaps(y), "mode": "lines", "line": {"color": LINE, "width": 1}}
    labels, predictions = executed.labels[:n].tolist(), executed.predictions[:n].tolist()
    shades = [colours[label] for label in labels]
    truth = [f"{name}: {class_name(names, label)}" for name, label in zip(executed.ids, labels, strict=False)]
    ends = [class_name(names, predicted) for predicted in predictions]
    hover_before = [words(text, "clean") for text in truth]
    hover_after = [words(text, f"after the attack: {end}") for text, end in zip(truth, ends, strict=True)]
    symbols = np.where(executed.fallen[:n], "x", "circle").tolist()
    return Panel(
        chart(
            [{**links, "hoverinfo": "skip"}, _dots(before, shades, "circle-open", hover_before),
             _dots(after, shades, symbols, hover_after)],
            f"Scatter plot of {n} images by the units that run for them, before and after: {' '.join(title.split())}.",
            height=360,
            **titled(title),
            xaxis={"visible": False},
            yaxis={"visible": False},
            margin={"l": 6, "r": 6, "t": 46, "b": 6},
        ),
        width=440,
    )  # fmt: skip


def _dots(places: np.ndarray, shades: Sequence[str], symbol: str | Sequence[str], hover: Sequence[str]) -> Trace:
    marker = {"color": shades, "symbol": symbol, "size": 7}
    return {
        "x": places[:, 0],
        "y": places[:, 1],
        "mode": "markers",
        "marker": marker,
        "hovertext": hover,
        "hoverinfo": "text",
    }


def _with_gaps(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def _laid_out(vectors: np.ndarray) -> np.ndarray:
    """Return positions (2n, 2) of n images before and after; a little jitter keeps equal images apart."""
    manifold = require("sklearn.manifold", "laying out images by the units that run for them")
    jitter = np.tile(np.random.default_rng(0).normal(0, 0.01, (len(vectors) // 2, vectors.shape[1])), (2, 1))
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    places: np.ndarray = manifold.TSNE(
        perplexity=perplexity, init="pca", learning_rate="auto", max_iter=400, random_state=0
    ).fit_transform(vectors + jitter)
    return places


def _first_of_each(rows: pa.Table) -> pa.Table:
    """Return one row per sample; targeted cells have one for each target."""
    _, first = np.unique(np.array(rows.column("id").to_pylist()), return_index=True)
    return rows.take(pa.array(np.sort(first)))
