"""Generates rooms as labelled, coloured point clouds; the same seed gives the same room."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.generated.rooms import colours, fixtures
from datamodules.generated.rooms.layout import Group, Layout, Rectangle, Standing
from datamodules.generated.rooms.plans import S3DIS_MINI_PLANS, S3DIS_PLANS, SCANNET_MINI_PLANS, SCANNET_PLANS, Plan
from datamodules.generated.rooms.surfaces import Array, Item, Keep, Part, area, level, sample, upright


class Room(NamedTuple):
    """The N points of a room, and the objects that they belong to.

    Attributes:
        points: (N, 3) float64 in metres, z up from the floor.
        colours: (N, 3) uint8, red, green, blue.
        objects: (N,) int64 index of each point's object in `kinds`.
        kinds: Kind of each object, such as "wall" or "chair".
        triangles: (M, 3) int64 indices of points: the surfaces as a mesh.
    """

    points: Array
    colours: NDArray[np.uint8]
    objects: NDArray[np.int64]
    kinds: Sequence[str]
    triangles: NDArray[np.int64]


class Density(NamedTuple):
    """How densely surfaces are sampled.

    Attributes:
        points: Range of the number of points, as far as `spacing` allows it.
        spacing: Range of the distance between neighbouring points in metres.
        roughness: Standard deviation of a point's distance from its surface in metres.
    """

    points: tuple[int, int]
    spacing: tuple[float, float]
    roughness: float


class Style(NamedTuple):
    """Kinds of rooms, the range of the height of their walls in metres, and the sampling density."""

    plans: Mapping[str, Plan]
    height: tuple[float, float]
    density: Density


SCANNET = Style(SCANNET_PLANS, (2.15, 2.45), Density((30_000, 50_000), (0.022, 0.030), 0.0025))
SCANNET_MINI = Style(SCANNET_MINI_PLANS, (1.2, 1.5), Density((3_500, 5_000), (0.030, 0.060), 0.0025))
S3DIS = Style(S3DIS_PLANS, (2.6, 3.0), Density((22_000, 34_000), (0.042, 0.054), 0.004))
S3DIS_MINI = Style(S3DIS_MINI_PLANS, (2.25, 2.45), Density((4_500, 6_500), (0.050, 0.080), 0.004))


def scannet_room(kind: str, seed: Sequence[int], style: Style = SCANNET) -> Room:
    """Return part of a room, as in a scan of ScanNet: rotated by any angle, without the ceiling and some walls.

    Args:
        kind: A key of the style's plans.
        seed: Determines the room.
        style: `SCANNET` or `SCANNET_MINI`.
    """
    rng = np.random.default_rng(list(seed))
    plan = style.plans[kind]
    walls = rng.permutation(4)[: int(rng.integers(2, 4))]
    layout = _filled(plan, sorted(walls.tolist()), rng.uniform(*style.height), rng)
    standing = _shell(layout, plan, rng, ceiling=False) + layout.standing
    return _sampled(standing, style.density, rng.uniform(0, 2 * np.pi), rng)


def s3dis_room(kind: str, seed: Sequence[int], style: Style = S3DIS) -> Room:
    """Return a whole room, as in S3DIS: parallel to the axes, with all walls, a ceiling, beams and columns.

    Args:
        kind: A key of the style's plans.
        seed: Determines the room.
        style: `S3DIS` or `S3DIS_MINI`.
    """
    rng = np.random.default_rng(list(seed))
    plan = style.plans[kind]
    layout = _filled(plan, range(4), rng.uniform(*style.height), rng, beams=True)
    standing = _shell(layout, plan, rng, ceiling=True) + layout.standing
    return _sampled(standing, style.density, 0.0, rng)


def _filled(plan: Plan, walls: Sequence[int], height: float, rng: np.random.Generator, beams: bool = False) -> Layout:
    size = [rng.uniform(*plan.long), rng.uniform(*plan.short)]
    if rng.uniform() < 0.5:
        size.reverse()
    layout = Layout(size[0], size[1], walls, height, rng)
    if beams:
        wall = int(rng.integers(4))
        layout.walls = [wall]  # a beam spans its whole wall
        layout.hang([fixtures.beam(rng, layout.length(wall), height)])
        layout.walls = list(walls)
        for _ in range(int(rng.integers(0, 3))):
            layout.put(Group([Standing(fixtures.column(rng, height))]))
    for step in plan.steps:
        for _ in range(int(rng.integers(step.least, step.most + 1))):
            made = step.make(rng)
            if isinstance(made, Group):
                layout.put(made)
            else:
                layout.hang(made)
    return layout


def _shell(layout: Layout, plan: Plan, rng: np.random.Generator, ceiling: bool) -> list[Standing]:
    """Return the floor, the walls with their holes, and the ceiling."""
    w, d = layout.width, layout.depth
    texture = plan.floors[int(rng.integers(len(plan.floors)))]
    floor = colours.draw(rng, {"wood": 0.45, "grey": 0.25, "cream": 0.15, "fabric": 0.15})
    paint = colours.draw(rng, {"white": 0.4, "cream": 0.35, "paint": 0.25})
    sheet = level((-w / 2, -d / 2, 0), w, d)
    things = [Standing(Item("floor", [Part([sheet], floor, texture)], w, d, 0.0))]
    for wall in layout.walls:
        length, accent = layout.length(wall), colours.draw(rng, {"paint": 0.5, "fabric": 0.5})
        keep = _wall_keep(length, layout.height, layout.holes[wall], rng, ragged=not ceiling)
        sheet = upright((-length / 2, 0, 0), length, layout.height, keep)
        colour = accent if rng.uniform() < 0.12 else paint
        origin, yaw = layout.foot(wall)
        item = Item("wall", [Part([sheet], colour)], length, 0.0, layout.height)
        things.append(Standing(item, float(origin[0]), float(origin[1]), yaw))
    if ceiling:
        sheet = level((-w / 2, d / 2, layout.height), w, -d)
        paint = colours.draw(rng, {"white": 0.6, "grey": 0.15, "cream": 0.25})
        things.append(Standing(Item("ceiling", [Part([sheet], paint, "panels")], w, d, layout.height)))
    return things


def _wall_keep(
    length: float, height: float, holes: Sequence[Rectangle], rng: np.random.Generator, ragged: bool
) -> Keep:
    drop, waves, phase = rng.uniform(0.02, 0.25), rng.uniform(1, 3), rng.uniform(0, 2 * np.pi)

    def keep(s: Array, t: Array) -> NDArray[np.bool_]:
        kept = np.ones(len(s), bool)
        for a0, a1, z0, z1 in holes:
            kept &= ~((s - length / 2 > a0) & (s - length / 2 < a1) & (t > z0) & (t < z1))
        if ragged:  # as if the scan did not reach the ceiling everywhere
            kept &= t < height - drop * (1 + np.sin(waves * s + phase))
        return kept

    return keep


def _sampled(things: Sequence[Standing], density: Density, yaw: float, rng: np.random.Generator) -> Room:
    """Sample all surfaces, move them to their places, light them, and rotate the room."""
    total = sum(area(surface) for thing in things for part in thing.item.parts for surface in part.surfaces)
    spacing = float(np.clip(np.sqrt(total / rng.integers(*density.points)), *density.spacing))
    lamp = np.array([*rng.uniform(-0.8, 0.8, 2), 2.1])
    tone = rng.uniform(0.85, 1.1) * rng.uniform(0.96, 1.04, 3)
    points, rgb, objects, triangles, n = [], [], [], [], 0
    for place, thing in enumerate(things):
        for part in thing.item.parts:
            for surface in part.surfaces:
                flat = sample(surface, spacing, density.roughness, rng)
                matrix = _rotation(thing.yaw)
                moved = flat._replace(
                    points=flat.points @ matrix.T + (thing.x, thing.y, 0), normals=flat.normals @ matrix.T
                )
                painted = colours.TEXTURES[part.texture](flat, part.colour, rng)
                points.append(moved.points)
                rgb.append(colours.lit(moved, painted, lamp, rng) * tone)
                objects.append(np.full(len(flat.points), place))
                triangles.append(flat.triangles + n)
                n += len(flat.points)
    return Room(
        np.concatenate(points) @ _rotation(yaw).T,
        np.clip(np.rint(np.concatenate(rgb) * 255), 0, 255).astype(np.uint8),
        np.concatenate(objects),
        [thing.item.kind for thing in things],
        np.concatenate(triangles),
    )


def _rotation(yaw: float) -> Array:
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
