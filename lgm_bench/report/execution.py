"""How often each adaptive unit runs for each class (Tao et al. 2024, Fig. 7)."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lgm_bench.extras import require
from lgm_bench.report.drawing import finish_axes, plot, svg
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
    "Each point is one clean image, described only by the units that run for it. t-SNE places images with similar "
    "decisions close to each other. Colours are classes: the better they separate, the more the decisions depend on "
    "the class. Distances between distant groups have no meaning."
)
FEWEST_POINTS, MOST_POINTS, MOST_CLASSES_NAMED = 10, 300, 24

Colour = tuple[float, float, float]


def executions(finished: Finished) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the share of each unit's decisions that are on for clean images, (n, U), and the labels (n,).

    None for victims with fewer than two units, and for tasks without one label per sample.
    """
    if "label" not in finished.result.kind.schema().names:
        return None
    rows = _first_of_each(finished.rows())
    on, _, _, positions = unit_counts(rows)
    if on.shape[1] < 2:
        return None
    return on / np.maximum(positions, 1), rows.column("label").to_numpy().astype(np.int64)


def execution_maps(key: str, groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return heat maps of execution by class, one for each victim of one data set."""
    panels = []
    for number, group in enumerate(groups):
        executed = executions(next(iter(group.arms.values())))
        if executed is not None:
            panels.append(_map(f"{key}-map{number}", group.cell.victim.name, *executed, names))
    return [Figure("Execution of each unit by class", MAP_CAPTION, [panels])] if panels else []


def _map(key: str, victim: str, shares: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Panel:
    classes = np.unique(labels).tolist()
    means = np.stack([shares[labels == label].mean(0) for label in classes])
    with plot(3.6, 1.3 + 0.16 * min(len(classes), 40), (0.95, 0.75, 0.45, 0.3)) as (figure, ax):
        image = ax.pcolormesh(means, vmin=0, vmax=1, cmap="viridis", edgecolors="face", linewidth=0.05)
        every = -(-len(classes) // MOST_CLASSES_NAMED)
        ax.set_yticks(np.arange(len(classes))[::every] + 0.5, [class_name(names, k)[:14] for k in classes][::every])
        units = np.arange(means.shape[1])[:: -(-means.shape[1] // 12)]
        ax.set_xticks(units + 0.5, [str(unit + 1) for unit in units])
        ax.tick_params(axis="y", labelsize=7)
        ax.invert_yaxis()
        ax.grid(visible=False)
        figure.colorbar(image, cax=ax.inset_axes((1.05, 0, 0.06, 1)), label="executed")
        finish_axes(ax, victim, "adaptive unit", "")
        unit = int(np.ptp(means, axis=0).argmax())
        alt = (
            f"Heat map of {victim}: {len(classes)} classes, {means.shape[1]} units, {means.mean():.1%} executed on "
            f"average; unit {unit + 1} differs most between classes, from {means[:, unit].min():.0%} to "
            f"{means[:, unit].max():.0%}."
        )
        return Panel(svg(figure, key, alt), width=380)


def execution_planes(key: str, groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return t-SNE plots of execution vectors, one for each victim of one data set; see `execution_maps`."""
    from matplotlib.colors import to_hex

    victims = [
        (group.cell.victim.name, *executed)
        for group in groups
        if (executed := executions(next(iter(group.arms.values()))))
    ]
    classes = sorted({label for _, _, labels in victims for label in np.unique(labels).tolist()})
    colours = dict(zip(classes, _colours(len(classes)), strict=True))
    panels = [
        _plane(f"{key}-plane{number}", victim, _laid_out(shares[:MOST_POINTS]), labels[:MOST_POINTS], colours)
        for number, (victim, shares, labels) in enumerate(victims)
        if len(shares) >= FEWEST_POINTS and len(np.unique(shares, axis=0)) > 2
    ]
    legend = [(to_hex(colour), class_name(names, label)) for label, colour in colours.items()]
    shown = legend if len(legend) <= MOST_CLASSES_NAMED else ()
    return [Figure("Execution vectors of images (t-SNE)", PLANE_CAPTION, [panels], shown)] if panels else []


def _plane(key: str, victim: str, places: np.ndarray, labels: np.ndarray, colours: dict[int, Colour]) -> Panel:
    with plot(3.1, 2.9, (0.1, 0.1, 0.1, 0.3)) as (figure, ax):
        ax.scatter(*places.T, s=13, c=[colours[label] for label in labels.tolist()], linewidths=0)
        ax.set_axis_off()
        finish_axes(ax, victim, "", "")
        alt = f"Scatter plot of {len(places)} images by the units of {victim} that run for them, coloured by class."
        return Panel(svg(figure, key, alt))


def _laid_out(vectors: np.ndarray) -> np.ndarray:
    """Return positions (n, 2); a little jitter keeps equal vectors from becoming a single point."""
    manifold = require("sklearn.manifold", "laying out images by the units that run for them")
    jitter = np.random.default_rng(0).normal(0, 0.01, vectors.shape)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    places: np.ndarray = manifold.TSNE(
        perplexity=perplexity, init="pca", learning_rate="auto", max_iter=400, random_state=0
    ).fit_transform(vectors + jitter)
    return places


def _first_of_each(rows: pa.Table) -> pa.Table:
    """Return one row per sample; targeted cells have one for each target."""
    _, first = np.unique(np.array(rows.column("id").to_pylist()), return_index=True)
    return rows.take(pa.array(np.sort(first)))


def _colours(n: int) -> list[Colour]:
    matplotlib = require("matplotlib", "drawing the report")
    table = matplotlib.colormaps["tab10" if n <= 10 else "tab20" if n <= 20 else "turbo"]
    return [table(i)[:3] if n <= 20 else table(i / max(n - 1, 1))[:3] for i in range(n)]
