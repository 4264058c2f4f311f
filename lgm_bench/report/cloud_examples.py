"""Point clouds before and after attacks, to turn: the predicted class of each point, and the voxels that changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import ImageColor

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.report.cloud_views import Camera, Direction, base64_of, packed_points
from lgm_bench.report.contrast import chosen, kinds, missing
from lgm_bench.report.drawing import RANDOM, class_colours, picture
from lgm_bench.report.groups import Group, class_name
from lgm_bench.report.model import WHOLE_WIDTH, Figure, Panel
from lgm_bench.report.templating import rendered
from lgm_bench.results.reading import Finished
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE
from lgm_bench.tasks.samples import ExampleCloud
from lgm_bench.voxels import IGNORED

SCENE_CAPTION = (
    "Labels, and the class that the hard network predicts for each point before and after the attack; colours are "
    "classes. Ceilings are left out, and streets are shown near the sensor only. Below are the attacked points whose "
    "voxel was empty before the attack or whose old voxel is empty after it."
)
SHAPE_CAPTION = (
    "The attacked shapes, with the points whose voxel was empty before the attack or whose old voxel is empty after "
    "it. The class that the hard network predicts is below each shape, with ✗ if it is wrong. An attack keeps its "
    "best iterate, which is the clean shape if no other iterate came closer to a mistake."
)
STILL, APPEARED, VANISHED = (150, 150, 150), (214, 48, 49), (41, 128, 216)
CHANGES = (("#d63031", "voxel appeared"), ("#2980d8", "voxel disappeared"), ("#969696", "same voxel"))
UNLABELLED = (128, 128, 128)
MOST_POINTS = 9_000
"""Most points of a scene that are shown."""
FAR, REACH = 15.0, 25.0
"""Metres from the origin: a scene with points farther away is a street, of which only points within reach are shown."""
ROOM, STREET, SHAPE = Direction(), Direction(turn=0.0, height=50.0), Direction(height=20.0)
NEARLY = 0.9
"""Random moves change nearly as many voxels as an arm from this share of the arm's on."""
Colour = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """One view of a cloud.

    Attributes:
        label: What it shows.
        moved: Which moved copy it shows; None for the clean cloud.
        kinds: (N,) uint8, the number of each point's colour.
        wrong: (N,) bool, which points are wrong; None where points are neither right nor wrong.
        palette: Colours (K, 3).
    """

    label: str
    moved: int | None
    kinds: np.ndarray
    palette: Sequence[Colour]
    wrong: np.ndarray | None = None


def cloud_examples(groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return the examples of every victim of one data set: the scene, or the shapes, on which the arms differ most."""
    figures = []
    for group in groups:
        clouds = group.clouds()
        complete = {key: arms for key, arms in clouds.items() if len(arms) == len(group.arms)}
        if complete:
            build = _scene if group.any_result.kind.labels_points else _shapes
            figures.append(build(group, complete, names))
    return figures


def _scene(group: Group, clouds: Mapping[str, dict[str, ExampleCloud]], names: Sequence[str]) -> Figure:
    key, mious = _most_different(group, clouds)
    arms = clouds[key] | _random_example(group, key)
    first = next(iter(arms.values()))
    labels, before = first.labels.numpy(), first.clean_prediction.numpy()
    shown, direction = _shown(first, names)
    present = np.unique(
        np.concatenate([labels, before, *(cloud.prediction.numpy() for cloud in arms.values())])
    ).tolist()
    palette = [
        UNLABELLED if label == IGNORED else colour
        for label, colour in zip(present, map(ImageColor.getrgb, class_colours(len(present))), strict=True)
    ]

    def painted(label: str, classes: np.ndarray, moved: int | None) -> View:
        wrong = (classes != labels) & (labels != IGNORED)
        return View(label, moved, np.searchsorted(present, classes)[shown].astype(np.uint8), palette, wrong[shown])

    above = [painted("labels", labels, None), painted(f"clean: {_right(before, labels)}", before, None)]
    below = []
    for number, (arm, cloud) in enumerate(arms.items()):
        after, word = cloud.prediction.numpy(), _word(arm)
        if arm != RANDOM:
            above.append(painted(f"{word}: {_right(after, labels)}", after, number))
        below.append(_changed(word, cloud, number, shown))
    title = f"{group.cell.victim.name}: {group.attack}, eps {group.eps}"
    legend = [
        ("#{:02x}{:02x}{:02x}".format(*colour), class_name(names, label) if label != IGNORED else "no label")
        for label, colour in zip(present, palette, strict=True)
    ]
    rows = [("Predicted classes", above), ("Voxels that changed", below)]
    viewer = _viewer(f"{title}, {key}", rows, first, arms, shown, direction, aside=voxels_changed(group))
    words = ", ".join(f"{_word(arm)} leaves {miou:.1%}" for arm, miou in mious.items())
    heading = Markup("<p>Scene {}, of those kept the one on which the arms differ most: {} mIoU.</p>").format(
        key, words
    )
    markup = rendered("scene", heading=heading, viewer=viewer, classes=legend)
    return Figure(title, SCENE_CAPTION, [[Panel(markup, width=WHOLE_WIDTH)]])


def _shapes(group: Group, clouds: Mapping[str, dict[str, ExampleCloud]], names: Sequence[str]) -> Figure:
    every, viewers = kinds(group), []
    title = f"{group.cell.victim.name}: {group.attack}, eps {group.eps}"
    for key, ends in chosen(every, clouds.keys()):
        arms = clouds[key] | _random_example(group, key)
        first = next(iter(arms.values()))
        truth, shown = class_name(names, int(first.labels)), np.arange(len(first.clean))
        before = class_name(names, int(first.clean_prediction))
        still = np.zeros(len(shown), np.uint8)
        views = [View(f"clean: {_marked(before, truth)}", None, still, (STILL, VANISHED, APPEARED))]
        for number, (arm, cloud) in enumerate(arms.items()):
            after = _marked(class_name(names, int(cloud.prediction)), truth)
            views.append(_changed(f"{_word(arm)}: {after}", cloud, number, shown, share=False))
        viewers.append((ends, truth, key, _viewer(f"{title}, {key}", [("", views)], first, arms, shown, SHAPE)))
    markup = rendered(
        "shapes",
        kinds=every,
        colours=[group.styles[arm].colour for arm in group.arms],
        viewers=viewers,
        voxels=voxels_changed(group),
    )
    caption = " ".join(filter(None, [missing(every, clouds.keys()), SHAPE_CAPTION]))
    return Figure(title, caption, [[Panel(markup, width=WHOLE_WIDTH)]])


def voxels_changed(group: Group) -> Markup:
    """Return the share of voxels that each arm and random moves of the same size change, and what that means."""
    shares = {
        name: float(share)
        for name, arm in group.shown.items()
        if (share := arm.result.metrics[ARCHITECTURE_CHANGE.name]) is not None
    }
    random = shares.pop(RANDOM, None)
    bars = [(_word(name), share) for name, share in shares.items()]
    if random is None:
        words = "No arm of random moves was run, so nothing says how many voxels any move of this size changes."
    else:
        most, share = max(bars, key=lambda bar: bar[1])
        words = f"Random moves of the same size change {random:.1%} of the voxels, and {most} {share:.1%}"
        words += ": the number says little about the attack." if random >= NEARLY * share else "."
        bars.append((_word(RANDOM), random))
    return rendered("changed", changes=CHANGES, bars=bars, words=words)


def _most_different(group: Group, clouds: Mapping[str, object]) -> tuple[str, dict[str, float]]:
    """Return the scene with the largest difference in mIoU between arms, and the mIoU that each of them leaves."""
    left = {arm: _mious(finished) for arm, finished in group.arms.items()}
    by_scene = {key: {arm: mious[key] for arm, mious in left.items()} for key in clouds}
    key = max(by_scene, key=lambda scene: max(by_scene[scene].values()) - min(by_scene[scene].values()))
    return key, by_scene[key]


def _mious(finished: Finished) -> dict[str, float]:
    rows = finished.rows()
    return dict(zip(rows.column("id").to_pylist(), rows.column("miou").to_pylist(), strict=True))


def _random_example(group: Group, key: str) -> dict[str, ExampleCloud]:
    """Return the cloud after random moves, if it was kept."""
    alone = Group(group.cell, group.styles, {RANDOM: group.random} if group.random else {})
    return alone.clouds().get(key, {})


def _viewer(
    title: str,
    rows: Sequence[tuple[str, Sequence[View]]],
    first: ExampleCloud,
    arms: Mapping[str, ExampleCloud],
    shown: np.ndarray,
    direction: Direction,
    *,
    aside: Markup | None = None,
) -> Markup:
    """Return the views of one cloud with a common camera, each with a picture for browsers without JavaScript.

    Args:
        title: What they show.
        rows: Rows of views, each with a heading.
        first: Any of the arms' clouds.
        arms: The clouds after each attack, and after random moves.
        shown: Indices of the points to show.
        direction: Viewing direction at the start.
        aside: What stands beside the last row.
    """
    clean, *moved = clouds = [cloud.numpy()[shown] for cloud in (first.clean, *(arm.points for arm in arms.values()))]
    camera = Camera(direction, np.concatenate(clouds), len(shown))
    views = [view for _, row in rows for view in row]
    data: dict[str, Any] = packed_points(clean, moved) | {
        "turn": direction.turn,
        "height": direction.height,
        "views": [
            {
                "moved": view.moved,
                "kinds": base64_of(view.kinds),
                "wrong": None if view.wrong is None else base64_of(np.packbits(view.wrong, bitorder="little")),
                "palette": [list(colour) for colour in view.palette],
            }
            for view in views
        ],
    }
    grid = []
    for heading, row in rows:
        places = [clean if view.moved is None else moved[view.moved] for view in row]
        pictures = [_photograph(camera, points, view, title) for points, view in zip(places, row, strict=True)]
        grid.append((heading, list(zip(pictures, [view.label for view in row], strict=True))))
    errors = any(view.wrong is not None for view in views)
    packed = Markup(json.dumps(data, separators=(",", ":")))
    return rendered("cloud", title=title, rows=grid, errors=errors, data=packed, aside=aside)


def _photograph(camera: Camera, points: np.ndarray, view: View, title: str) -> Markup:
    pixels = camera.photograph(points, np.array(view.palette, np.uint8)[view.kinds])
    return picture(pixels, f"{title}: {view.label}")


def _changed(word: str, cloud: ExampleCloud, number: int, shown: np.ndarray, *, share: bool = True) -> View:
    appeared, vanished = cloud.appeared.numpy()[shown], cloud.vanished.numpy()[shown]
    kinds_of_points = np.where(appeared, 2, np.where(vanished, 1, 0)).astype(np.uint8)
    words = f"{word}: {(appeared | vanished).mean():.0%} of the points" if share else word
    return View(words, number, kinds_of_points, (STILL, VANISHED, APPEARED))


def _shown(cloud: ExampleCloud, names: Sequence[str]) -> tuple[np.ndarray, Direction]:
    """Return the indices of the points to show, and the viewing direction: ceilings would hide rooms."""
    labels, predicted, points = (value.numpy() for value in (cloud.labels, cloud.clean_prediction, cloud.clean))
    ceilings = [number for number, name in enumerate(names) if name == "ceiling"]
    shown = ~(np.isin(labels, ceilings) | np.isin(predicted, ceilings))
    street = bool(np.abs(points[:, :2]).max() > FAR)
    if street:
        shown &= np.linalg.norm(points[:, :2], axis=1) < REACH
    places = np.flatnonzero(shown if shown.any() else np.ones_like(shown))
    if len(places) > MOST_POINTS:
        places = np.sort(np.random.default_rng(0).permutation(places)[:MOST_POINTS])
    return places, STREET if street else ROOM


def _word(arm: str) -> str:
    return "random moves" if arm == RANDOM else gradient_name(arm)


def _marked(predicted: str, truth: str) -> str:
    return predicted if predicted == truth else f"{predicted} ✗"


def _right(predicted: np.ndarray, labels: np.ndarray) -> str:
    counted = labels != IGNORED
    return f"{(predicted == labels)[counted].mean():.1%} right" if counted.any() else "no labels"
