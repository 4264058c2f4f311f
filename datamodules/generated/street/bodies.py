"""Bodies, strips of ground and their materials, and the intersection of rays with them."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Material(NamedTuple):
    """How a surface reflects light.

    Attributes:
        albedo: Reflectance at right angles, in [0, 1].
        retro: Share of the albedo that is independent of the angle, as of a traffic sign; the rest is proportional to
            the cosine.
        lost: Share of rays that do not return, as from glass.
        roughness: Standard deviation of the surface's depth in metres.
        free_path: Mean distance in metres that a ray travels inside; 0: the surface is opaque.
    """

    albedo: float
    retro: float = 0.0
    lost: float = 0.0
    roughness: float = 0.0
    free_path: float = 0.0


ASPHALT = Material(0.25, retro=0.2, roughness=0.005)
PAINT = Material(0.65, retro=0.5)
PAVING = Material(0.38, retro=0.2, roughness=0.005)
GRASS = Material(0.45, retro=0.4, roughness=0.04)
PLASTER = Material(0.5)
BRICK = Material(0.35, roughness=0.01)
GLASS = Material(0.08, lost=0.7)
LACQUER = Material(0.4, lost=0.05)
DARK_LACQUER = Material(0.12, lost=0.15)
RUBBER = Material(0.06, lost=0.1)
TARPAULIN = Material(0.55)
WOOD = Material(0.35, roughness=0.01)
BARK = Material(0.3, roughness=0.02)
LEAVES = Material(0.45, retro=0.5, free_path=0.5)
HEDGE = Material(0.42, retro=0.5, free_path=0.25)
MESH = Material(0.3, retro=0.3, free_path=0.06)
STEEL = Material(0.4, retro=0.1)
REFLECTOR = Material(0.95, retro=0.9)
CLOTH = Material(0.35)


Array = NDArray[np.float64]
Form = Literal["box", "cylinder", "ellipsoid"]


class Body(NamedTuple):
    """An upright box, cylinder or ellipsoid.

    Attributes:
        form: Its form.
        centre: x, y, z in metres.
        half: Half extents along its own x, y, z in metres.
        yaw: Rotation about the vertical axis in radians.
        raw: SemanticKITTI id of its class.
        material: Its material.
        instance: Number of the object that it is part of; 0: none.
    """

    form: Form
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    yaw: float
    raw: int
    material: Material
    instance: int = 0

    @property
    def radius(self) -> float:
        """Radius of the circle around its footprint in metres."""
        if self.form == "box":
            return float(np.hypot(self.half[0], self.half[1]))
        return max(self.half[0], self.half[1])


class Strip(NamedTuple):
    """An infinite strip of ground along the street.

    Attributes:
        edges: y of its edges in metres, ascending.
        heights: z of its edges in metres.
        raw: SemanticKITTI id of its class.
        material: Its material.
        dash: Lengths along x of a dash and of the gap after it in metres; (1, 0): no gaps.
    """

    edges: tuple[float, float]
    heights: tuple[float, float]
    raw: int
    material: Material
    dash: tuple[float, float] = (1.0, 0.0)


class Crossing(NamedTuple):
    """Intersection of N rays with a body: distances where they enter and leave, +inf for a miss, and normals (N, 3)."""

    enter: Array
    leave: Array
    normal: Array


def crossing(body: Body, origin: Array, directions: Array) -> Crossing:
    """Intersect rays from one origin (3,) along unit directions (N, 3) with a body; the origin lies outside of it."""
    turn, half = _rotation(body.yaw), np.asarray(body.half)
    start = (origin - np.asarray(body.centre)) @ turn / half
    way = directions @ turn / half
    enter, leave, normal = _FORMS[body.form](start, way)
    missed = ~((enter < leave) & (enter > 0))
    outwards = normal / half
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True) + 1e-12
    return Crossing(np.where(missed, np.inf, enter), np.where(missed, np.inf, leave), outwards @ turn.T)


def meeting(strip: Strip, origin: Array, directions: Array) -> Crossing:
    """Intersect rays from one origin (3,) along unit directions (N, 3) with a strip of ground."""
    (low, high), (start, end) = strip.edges, strip.heights
    slope = (end - start) / (high - low)
    above = origin[2] - start - slope * (origin[1] - low)
    fall = slope * directions[:, 1] - directions[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = above / fall
        x, y = (origin[axis] + distance * directions[:, axis] for axis in (0, 1))
        met = (distance > 0) & (y >= low) & (y < high) & (np.mod(x, sum(strip.dash)) < strip.dash[0])
    distance = np.where(met, distance, np.inf)
    normal = np.array([0, -slope, 1]) / np.hypot(slope, 1)
    return Crossing(distance, distance, np.broadcast_to(normal, directions.shape))


def _rotation(yaw: float) -> Array:
    """Return the matrix from a body's frame to the street's; a row vector times it goes the other way."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _box(start: Array, way: Array) -> tuple[Array, Array, Array]:
    near, far = _slabs(start, way)
    axis = near.argmax(1)
    enter = near.max(1)
    normal = np.zeros_like(way)
    rows = np.arange(len(way))
    normal[rows, axis] = -np.sign(way[rows, axis])
    return enter, far.min(1), normal


def _ellipsoid(start: Array, way: Array) -> tuple[Array, Array, Array]:
    enter, leave = _round(start, way)
    return enter, leave, _at(start, way, enter)


def _cylinder(start: Array, way: Array) -> tuple[Array, Array, Array]:
    near, far = _slabs(start[2:], way[:, 2:])
    side, out = _round(start[:2], way[:, :2])
    enter, leave = np.maximum(near[:, 0], side), np.minimum(far[:, 0], out)
    normal = _at(start, way, enter)
    from_above = near[:, 0] > side
    normal[from_above, :2] = 0
    normal[~from_above, 2] = 0
    return enter, leave, normal


def _slabs(start: Array, way: Array) -> tuple[Array, Array]:
    safe = np.where(np.abs(way) < 1e-12, 1e-12, way)
    ends = (-1 - start) / safe, (1 - start) / safe
    return np.minimum(*ends), np.maximum(*ends)


def _round(start: Array, way: Array) -> tuple[Array, Array]:
    a, b, c = (way * way).sum(1) + 1e-24, way @ start, start @ start - 1
    under = b * b - a * c
    root = np.sqrt(np.maximum(under, 0))
    hit = under > 0
    return np.where(hit, (-b - root) / a, np.inf), np.where(hit, (-b + root) / a, -np.inf)


def _at(start: Array, way: Array, distance: Array) -> Array:
    return start + way * np.where(np.isfinite(distance), distance, 0)[:, None]


_FORMS = {"box": _box, "cylinder": _cylinder, "ellipsoid": _ellipsoid}
