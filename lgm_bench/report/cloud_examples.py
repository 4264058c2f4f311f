"""Point clouds before and after attacks: the predicted class of each point, and the voxels that changed."""

from collections.abc import Sequence

import numpy as np

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.extras import require
from lgm_bench.report.cloud_view import ROOM, SHAPE, STREET, Camera
from lgm_bench.report.drawing import picture
from lgm_bench.report.groups import Group, class_name
from lgm_bench.report.model import Figure, Panel
from lgm_bench.tasks.samples import ExampleCloud
from lgm_bench.voxels import IGNORED

SCENE_CAPTION = (
    "The labels, and the class that the hard network gives each point before and after the attack; colours are "
    "classes. The view is from obliquely above, without ceilings; of a street it shows what is near the sensor."
)
CHANGE_CAPTION = (
    "The attacked scene: points whose voxel was empty before the attack (red) or whose old voxel is empty after it "
    "(blue), over the others in grey."
)
SHAPE_CAPTION = (
    "The attacked shapes: points whose voxel was empty before the attack (red) or whose old voxel is empty after it "
    "(blue), over the others in grey. Below each stands the class that the hard network gives it. An attack keeps its "
    "best iterate, which is the clean shape where no other came closer to a mistake."
)
APPEARED, VANISHED, STILL, UNLABELLED = (214, 48, 49), (41, 128, 216), (150, 150, 150), (128, 128, 128)
CHANGES = (("#d63031", "voxel appeared"), ("#2980d8", "voxel disappeared"), ("#969696", "same voxel"))
Colour = tuple[int, ...]
WIDTH = 258
"""Of a picture in CSS pixels: four fit into a wide page."""
FAR = 15.0
"""Metres from the origin; a scene with points beyond is a street."""


def cloud_examples(groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return the examples of every victim of one data set: the first scene, or two shapes.

    Args:
        groups: One for each victim.
        names: Of the classes.
    """
    figures = []
    for one in groups:
        clouds = one.examples(ExampleCloud)
        if not clouds:
            continue
        title = f"{one.cell.victim.name}: {one.attack}, eps {one.eps}"
        if not one.any.kind.labels_points:
            rows = [_shapes(of_gradients, names) for of_gradients in clouds.values()]
            figures.append(Figure(title, SHAPE_CAPTION, rows, CHANGES))
        else:
            scene, of_gradients = next(iter(clouds.items()))
            figures += _scene(f"{title}, {scene}", of_gradients, names)
    return figures


def _scene(title: str, of_gradients: dict[str, ExampleCloud], names: Sequence[str]) -> list[Figure]:
    first = next(iter(of_gradients.values()))
    labels, points, before = (value.numpy() for value in (first.labels, first.clean, first.clean_prediction))
    shown = _without_ceiling(labels, before, names)
    street = bool(np.abs(points[:, :2]).max() > FAR)
    everything = [points[shown], *(cloud.points.numpy()[shown] for cloud in of_gradients.values())]
    camera = Camera(STREET if street else ROOM, np.concatenate(everything), int(shown.sum()))
    colours = _colours([labels, before, *(cloud.prediction.numpy() for cloud in of_gradients.values())])

    def seen(classes: np.ndarray, cloud: np.ndarray, label: str) -> Panel:
        pixels = camera.photograph(cloud[shown], _painted(classes[shown], colours))
        return Panel(picture(pixels, f"{title}: {label}"), label, width=WIDTH)

    above = [seen(labels, points, "labels"), seen(before, points, f"clean: {_right(before, labels)}")]
    below = []
    for gradient, cloud in of_gradients.items():
        moved, after = cloud.points.numpy(), cloud.prediction.numpy()
        above.append(seen(after, moved, f"{gradient_name(gradient)}: {_right(after, labels)}"))
        below.append(_changes(camera, cloud, shown, gradient_name(gradient), title))
    legend = [
        ("#{:02x}{:02x}{:02x}".format(*rgb), class_name(names, k) if k != IGNORED else "no label")
        for k, rgb in colours.items()
    ]
    return [
        Figure(title, SCENE_CAPTION, [above], legend),
        Figure("Voxels that changed", CHANGE_CAPTION, [below], CHANGES),
    ]


def _shapes(of_gradients: dict[str, ExampleCloud], names: Sequence[str]) -> list[Panel]:
    first = next(iter(of_gradients.values()))
    clouds = [first.clean.numpy(), *(cloud.points.numpy() for cloud in of_gradients.values())]
    camera = Camera(SHAPE, np.concatenate(clouds), len(first.clean))
    everything = np.ones(len(first.clean), bool)
    truth, before = class_name(names, int(first.labels)), class_name(names, int(first.clean_prediction))
    plain = np.tile(np.array(STILL, np.uint8), (len(first.clean), 1))
    pixels = camera.photograph(first.clean.numpy(), plain)
    panels = [Panel(picture(pixels, f"Clean shape {first.id}, {truth}"), f"clean: {before}", width=WIDTH)]
    for gradient, cloud in of_gradients.items():
        after = class_name(names, int(cloud.prediction))
        label = f"{gradient_name(gradient)}: {after}{'' if after == truth else ' ✗'}"
        panels.append(_changes(camera, cloud, everything, label, first.id))
    return panels


def _changes(camera: Camera, cloud: ExampleCloud, shown: np.ndarray, label: str, title: str) -> Panel:
    appeared, vanished = cloud.appeared.numpy()[shown], cloud.vanished.numpy()[shown]
    colours = np.tile(np.array(STILL, np.uint8), (int(shown.sum()), 1))
    colours[vanished], colours[appeared] = VANISHED, APPEARED
    pixels = camera.photograph(cloud.points.numpy()[shown], colours, first=vanished | appeared)
    words = f"{label}: {appeared.mean():.0%} of the points in new voxels, {vanished.mean():.0%} left theirs empty"
    return Panel(picture(pixels, f"{title}, points that changed voxels: {words}"), words, width=WIDTH)


def _without_ceiling(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> np.ndarray:
    ceilings = [number for number, name in enumerate(names) if name == "ceiling"]
    hidden = np.isin(labels, ceilings) | np.isin(predicted, ceilings)
    return ~hidden if not hidden.all() else ~np.zeros_like(hidden)


def _right(predicted: np.ndarray, labels: np.ndarray) -> str:
    counted = labels != IGNORED
    return f"{(predicted == labels)[counted].mean():.1%} of the points right" if counted.any() else "no labels"


def _painted(classes: np.ndarray, colours: dict[int, Colour]) -> np.ndarray:
    kinds, which = np.unique(classes, return_inverse=True)
    return np.array([colours[kind] for kind in kinds.tolist()], np.uint8)[which]


def _colours(classes: Sequence[np.ndarray]) -> dict[int, Colour]:
    """Return a colour for every class that occurs: as unlike each other as so many colours can be."""
    matplotlib = require("matplotlib", "drawing the report")
    order = [k for k in (*range(0, 20, 2), *range(1, 20, 2)) if k not in (14, 15)]  # strong before pale ones, no greys
    known = [tuple(round(255 * part) for part in matplotlib.colormaps["tab20"](k)[:3]) for k in order]
    present = np.unique(np.concatenate(classes)).tolist()
    return {k: UNLABELLED if k == IGNORED else known[number % len(known)] for number, k in enumerate(present)}
