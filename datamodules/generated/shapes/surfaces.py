"""The surfaces of shapes, and uniform random points on them."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Panel(NamedTuple):
    """A parallelogram: a corner (3,) and its two edges (3,); the normal points along across x up."""

    corner: Array
    across: Array
    up: Array

    @property
    def area(self) -> float:
        return float(np.linalg.norm(np.cross(self.across, self.up)))

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return points (count, 3) and normals (count, 3)."""
        s, t = rng.uniform(size=(2, count, 1))
        normal = np.cross(self.across, self.up)
        return self.corner + s * self.across + t * self.up, np.tile(normal / np.linalg.norm(normal), (count, 1))


class Ring(NamedTuple):
    """The lateral surface of a truncated cone; a disc and a cylinder are special cases.

    Attributes:
        centre: (3,) centre of the lower end.
        radii: Radii of the lower and the upper end.
        height: Distance between the ends along the axis; if negative, the upper end lies below and the surface faces
            inwards.
        axis: (3,) unit vector.
    """

    centre: Array
    radii: tuple[float, float]
    height: float
    axis: Array

    @property
    def area(self) -> float:
        return float(np.pi * sum(self.radii) * np.hypot(self.height, self.radii[1] - self.radii[0]))

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return points (count, 3) and normals (count, 3)."""
        low, high = self.radii
        # The share t of the height is found from the area below it, since circumferences vary with t.
        below = rng.uniform(size=count) * (low + high) / 2
        t = below / low if low == high else (np.sqrt(low**2 + 2 * below * (high - low)) - low) / (high - low)
        angle = rng.uniform(0, 2 * np.pi, count)
        x, y = _plane(self.axis)
        outward = np.outer(np.cos(angle), x) + np.outer(np.sin(angle), y)
        radius = low + t * (high - low)
        points = self.centre + outward * radius[:, None] + np.outer(t * self.height, self.axis)
        normals = outward * self.height - (high - low) * self.axis
        return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


Surface = Panel | Ring


def sample(surfaces: Sequence[Surface], count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return points (count, 3), uniform on all surfaces together and in random order, and unit normals (count, 3)."""
    areas = np.array([surface.area for surface in surfaces])
    counts = rng.multinomial(count, areas / areas.sum())
    drawn = [surface.draw(int(n), rng) for surface, n in zip(surfaces, counts, strict=True)]
    points, normals = (np.concatenate(values) for values in zip(*drawn, strict=True))
    order = rng.permutation(count)
    return points[order], normals[order]


def box(low: Sequence[float], high: Sequence[float]) -> list[Surface]:
    """Return the six sides of a box, given its minimum and maximum corner; normals point outwards."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    x, y, z = np.diag(b - a)
    return [Panel(a, y, x), Panel(a, x, z), Panel(a, z, y), Panel(b, -x, -y), Panel(b, -z, -x), Panel(b, -y, -z)]


def turned(
    profile: Sequence[tuple[float, float]], foot: Sequence[float] = (0, 0, 0), axis: Sequence[float] = (0, 0, 1)
) -> list[Surface]:
    """Return a surface of revolution.

    Args:
        profile: (radius, height) of its corners, from the centre of the bottom outwards and up; normals then point
            outwards.
        foot: Start of the axis.
        axis: Direction of the axis.
    """
    along = np.asarray(axis, float)
    along = along / np.linalg.norm(along)
    pairs = itertools.pairwise(profile)
    rings = [Ring(np.asarray(foot, float) + z0 * along, (r0, r1), z1 - z0, along) for (r0, z0), (r1, z1) in pairs]
    return [ring for ring in rings if ring.area > 0]


def rod(start: Sequence[float], end: Sequence[float], width: float) -> list[Surface]:
    """Return a round rod between two points."""
    way = np.subtract(end, start)
    long = float(np.linalg.norm(way))
    return turned([(0, 0), (width / 2, 0), (width / 2, long), (0, long)], start, way)


def smooth(corners: Sequence[tuple[float, float]], pieces: int = 6) -> list[tuple[float, float]]:
    """Return a smooth profile: a cubic curve through the corners (Catmull-Rom)."""
    points = np.array([corners[0], *corners, corners[-1]], float)
    t = np.linspace(0, 1, pieces, endpoint=False)[:, None]
    curve = []
    for a, b, c, d in zip(points[:-3], points[1:-2], points[2:-1], points[3:], strict=True):
        curve.append(b + t / 2 * (c - a) + t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 / 2 * (3 * b - a - 3 * c + d))
    smoothed = np.concatenate([*curve, points[-1:]])
    smoothed[:, 0] = np.maximum(smoothed[:, 0], 0)
    return [(float(r), float(z)) for r, z in smoothed]


def _plane(axis: Array) -> tuple[Array, Array]:
    other = np.array([1.0, 0, 0]) if abs(axis[0]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(other, axis)
    x /= np.linalg.norm(x)
    return x, np.cross(axis, x)
