"""Point clouds before and after attacks: the predicted class of each point, and the voxels that changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.extras import require
from lgm_bench.report.drawing import picture
from lgm_bench.report.groups import Group, class_name
from lgm_bench.report.model import Figure, Panel
from lgm_bench.tasks.samples import ExampleCloud
from lgm_bench.voxels import IGNORED

SCENE_CAPTION = (
    "Labels, and the class that the hard network predicts for each point before and after the attack; colours are "
    "classes. The view is from diagonally above, without ceilings; streets are shown near the sensor only."
)
CHANGE_CAPTION = (
    "The attacked scene: points whose voxel was empty before the attack (red) or whose old voxel is empty after it "
    "(blue), over the others in grey."
)
SHAPE_CAPTION = (
    "The attacked shapes: points whose voxel was empty before the attack (red) or whose old voxel is empty after it "
    "(blue), over the others in grey. The class that the hard network predicts is below each shape. An attack keeps "
    "its best iterate, which is the clean shape if no other iterate came closer to a mistake."
)
APPEARED, VANISHED, STILL, UNLABELLED = (214, 48, 49), (41, 128, 216), (150, 150, 150), (128, 128, 128)
CHANGES = (("#d63031", "voxel appeared"), ("#2980d8", "voxel disappeared"), ("#969696", "same voxel"))
MARGIN = 6
Colour = tuple[int, ...]
WIDTH = 258
"""Width of a picture in CSS pixels; four fit into a wide page."""
FAR = 15.0
"""Metres from the origin; a scene with points farther away is a street."""


@dataclass(frozen=True)
class View:
    """A viewing direction.

    Attributes:
        turn: Angle around the vertical axis, degrees.
        height: Angle above the horizon, degrees; 90 looks straight down.
        width: Width of the picture, pixels.
        reach: Radius of the shown part around the origin, metres; None for all points.
    """

    turn: float = 30.0
    height: float = 45.0
    width: int = 420
    reach: float | None = None


ROOM, STREET, SHAPE = View(), View(height=60.0, reach=25.0, turn=0.0), View(height=20.0, width=340)
COVER, SMALLEST_DOT, LARGEST_DOT = 0.3, 2, 5
"""Share of a picture that its points would cover side by side; smallest and largest edge of a point, pixels."""


class Camera:
    """A view of one cloud that shows all its moved copies at the same scale.

    Args:
        view: Viewing direction.
        points: (N, 3), all points that must fit into the pictures.
        n: Number of points per picture.
    """

    def __init__(self, view: View, points: np.ndarray, n: int) -> None:
        self.view = view
        turn, tilt = np.radians(view.turn), np.radians(view.height)
        right = np.array([np.cos(turn), np.sin(turn), 0.0])
        ahead = np.array([-np.sin(turn), np.cos(turn), 0.0])
        self.axes = np.stack([
            right, np.sin(tilt) * ahead + np.cos(tilt) * np.array([0, 0, 1.0]),
            -np.cos(tilt) * ahead + np.sin(tilt) * np.array([0, 0, 1.0]),
        ])  # fmt: skip
        seen = points[_near(view, points)] @ self.axes.T
        self.low, high = seen[:, :2].min(0), seen[:, :2].max(0)
        extent = np.maximum(high - self.low, 1e-6)
        self.scale = (view.width - 2 * MARGIN) / extent.max()
        width, height = (round(self.scale * length) + 2 * MARGIN for length in extent.tolist())
        self.size = height, width
        self.dot = int(np.clip(round((COVER * width * height / max(n, 1)) ** 0.5), SMALLEST_DOT, LARGEST_DOT))

    def photograph(self, points: np.ndarray, colours: np.ndarray, first: np.ndarray | None = None) -> np.ndarray:
        """Return a picture (H, W, 4) uint8 with a transparent background.

        Args:
            points: (N, 3), the cloud, moved or not.
            colours: (N, 3) uint8.
            first: (N,) bool, points to draw over all others.
        """
        seen = points @ self.axes.T
        place = np.round(self.scale * (seen[:, :2] - self.low)).astype(int) + MARGIN
        order = np.argsort(seen[:, 2], kind="stable")
        if first is not None:
            order = np.concatenate([order[~first[order]], order[first[order]]])
        order = order[_near(self.view, points)[order]]
        height, width = self.size
        canvas = np.zeros((height, width, 4), np.uint8)
        dots = np.arange(self.dot)
        down = (height - 1 - place[order, 1])[:, None, None] + dots[:, None]
        across = place[order, 0][:, None, None] + dots[None, :]
        drawn = np.concatenate([colours[order], np.full((len(order), 1), 255, np.uint8)], axis=1)
        # The last of several points in a pixel stays, which is the nearest.
        canvas[np.clip(down, 0, height - 1), np.clip(across, 0, width - 1)] = drawn[:, None, None]
        return canvas


def _near(view: View, points: np.ndarray) -> np.ndarray:
    """Return which points (N,) bool are within reach; all of them if none is."""
    near = np.ones(len(points), bool)
    if view.reach is not None:
        near = np.linalg.norm(points[:, :2], axis=1) < view.reach
    return near if near.any() else ~near


def cloud_examples(groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return the examples of every victim of one data set: the first scene, or two shapes."""
    figures = []
    for group in groups:
        clouds = group.examples(ExampleCloud)
        if not clouds:
            continue
        title = f"{group.cell.victim.name}: {group.attack}, eps {group.eps}"
        if not group.any_result.kind.labels_points:
            rows = [_shapes(by_gradient, names) for by_gradient in clouds.values()]
            figures.append(Figure(title, SHAPE_CAPTION, rows, CHANGES))
        else:
            scene, by_gradient = next(iter(clouds.items()))
            figures += _scene(f"{title}, {scene}", by_gradient, names)
    return figures


def _scene(title: str, by_gradient: dict[str, ExampleCloud], names: Sequence[str]) -> list[Figure]:
    first = next(iter(by_gradient.values()))
    labels, points, before = (value.numpy() for value in (first.labels, first.clean, first.clean_prediction))
    shown = _without_ceiling(labels, before, names)
    street = bool(np.abs(points[:, :2]).max() > FAR)
    everything = [points[shown], *(cloud.points.numpy()[shown] for cloud in by_gradient.values())]
    camera = Camera(STREET if street else ROOM, np.concatenate(everything), int(shown.sum()))
    colours = _colours([labels, before, *(cloud.prediction.numpy() for cloud in by_gradient.values())])

    def view(classes: np.ndarray, cloud: np.ndarray, label: str) -> Panel:
        pixels = camera.photograph(cloud[shown], _painted(classes[shown], colours))
        return Panel(picture(pixels, f"{title}: {label}"), label, width=WIDTH)

    above = [view(labels, points, "labels"), view(before, points, f"clean: {_right(before, labels)}")]
    below = []
    for gradient, cloud in by_gradient.items():
        moved, after = cloud.points.numpy(), cloud.prediction.numpy()
        above.append(view(after, moved, f"{gradient_name(gradient)}: {_right(after, labels)}"))
        below.append(_changes(camera, cloud, shown, gradient_name(gradient), title))
    legend = [
        ("#{:02x}{:02x}{:02x}".format(*rgb), class_name(names, k) if k != IGNORED else "no label")
        for k, rgb in colours.items()
    ]
    return [
        Figure(title, SCENE_CAPTION, [above], legend),
        Figure("Voxels that changed", CHANGE_CAPTION, [below], CHANGES),
    ]


def _shapes(by_gradient: dict[str, ExampleCloud], names: Sequence[str]) -> list[Panel]:
    first = next(iter(by_gradient.values()))
    clouds = [first.clean.numpy(), *(cloud.points.numpy() for cloud in by_gradient.values())]
    camera = Camera(SHAPE, np.concatenate(clouds), len(first.clean))
    everything = np.ones(len(first.clean), bool)
    truth, before = class_name(names, int(first.labels)), class_name(names, int(first.clean_prediction))
    plain = np.tile(np.array(STILL, np.uint8), (len(first.clean), 1))
    pixels = camera.photograph(first.clean.numpy(), plain)
    panels = [Panel(picture(pixels, f"Clean shape {first.id}, {truth}"), f"clean: {before}", width=WIDTH)]
    for gradient, cloud in by_gradient.items():
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
    """Return a colour for every class that occurs, as different from each other as possible."""
    matplotlib = require("matplotlib", "drawing the report")
    order = [k for k in (*range(0, 20, 2), *range(1, 20, 2)) if k not in (14, 15)]  # strong before pale ones, no greys
    known = [tuple(round(255 * part) for part in matplotlib.colormaps["tab20"](k)[:3]) for k in order]
    present = np.unique(np.concatenate(classes)).tolist()
    return {k: UNLABELLED if k == IGNORED else known[number % len(known)] for number, k in enumerate(present)}
