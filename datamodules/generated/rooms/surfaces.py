"""The surfaces of objects, and their sampling: nearly even points with noise, as from a depth camera."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Keep = Callable[[Array, Array], NDArray[np.bool_]]
JITTER = 0.35
"""Largest distance of a point from the centre of its grid cell, as a share of the cell's size."""


class Sheet(NamedTuple):
    """A rectangle, possibly with parts left out, or with folds as of a curtain.

    Attributes:
        corner: (3,) the corner where s = t = 0, in metres.
        across: (3,) the edge along s in metres; the normal is across x up.
        up: (3,) the edge along t in metres.
        keep: Maps s and t of points to which of them exist; None: all.
        folds: Amplitude and wavelength of the folds along s in metres; amplitude 0: flat.
    """

    corner: Array
    across: Array
    up: Array
    keep: Keep | None = None
    folds: tuple[float, float] = (0.0, 1.0)

    @property
    def lengths(self) -> tuple[float, float]:
        """Lengths along s and t in metres."""
        return float(np.linalg.norm(self.across)), float(np.linalg.norm(self.up))

    def place(self, s: Array, t: Array) -> tuple[Array, Array]:
        """Return points (N, 3) and normals (N, 3) at s and t, (N,) each, in metres."""
        width, height = self.lengths
        along, upwards = self.across / width, self.up / height
        normal = np.cross(along, upwards)
        amplitude, wavelength = self.folds
        phase = 2 * np.pi * s / wavelength
        depth = amplitude * np.sin(phase)
        lean = amplitude * 2 * np.pi / wavelength * np.cos(phase)
        points = self.corner + np.outer(s, along) + np.outer(t, upwards) + np.outer(depth, normal)
        normals = normal - np.outer(lean, along)
        return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


class Tube(NamedTuple):
    """The wall of an upright elliptic cylinder or cone.

    Attributes:
        base: (3,) centre of its lower end in metres.
        radii: Half axes along x and y at the lower end in metres.
        height: Height in metres.
        top: Size of the upper end relative to the lower one.
        keep: Maps s and t of points to which of them exist; None: all. s runs around, starting at the x axis.
    """

    base: Array
    radii: tuple[float, float]
    height: float
    top: float = 1.0
    keep: Keep | None = None

    @property
    def lengths(self) -> tuple[float, float]:
        """Mean circumference and height in metres."""
        return np.pi * sum(self.radii) * (1 + self.top) / 2, self.height

    def place(self, s: Array, t: Array) -> tuple[Array, Array]:
        """Return points (N, 3) and outward normals (N, 3) at s and t, (N,) each, in metres."""
        around, height = self.lengths
        angle = 2 * np.pi * s / around
        scale = 1 + (self.top - 1) * t / height
        ring = np.stack([np.cos(angle) * self.radii[0], np.sin(angle) * self.radii[1]], 1) * scale[:, None]
        points = self.base + np.concatenate([ring, t[:, None]], 1)
        outward = np.stack([np.cos(angle) / self.radii[0], np.sin(angle) / self.radii[1]], 1)
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        slant = np.full((len(s), 1), (1 - self.top) * float(np.mean(self.radii)) / height)
        normals = np.concatenate([outward, slant], 1)
        return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


Surface = Sheet | Tube


class Sampled(NamedTuple):
    """Points (N, 3) of a surface with normals (N, 3), parameters s and t (N,), and triangles (M, 3) between them."""

    points: Array
    normals: Array
    s: Array
    t: Array
    triangles: NDArray[np.int64]


def sample(surface: Surface, spacing: float, roughness: float, rng: np.random.Generator) -> Sampled:
    """Return points of a surface on a jittered grid.

    Args:
        surface: What to sample.
        spacing: Approximate distance between neighbours in metres; a side shorter than this still gets one point.
        roughness: Standard deviation of the points' distance from the surface in metres.
        rng: Draws jitter and roughness.
    """
    lengths = surface.lengths
    counts = [max(1, round(length / spacing)) for length in lengths]
    cells = np.stack(np.meshgrid(np.arange(counts[0]), np.arange(counts[1]), indexing="ij"), -1).reshape(-1, 2)
    places = (cells + 0.5 + rng.uniform(-JITTER, JITTER, cells.shape)) * np.divide(lengths, counts)
    s, t = places[:, 0], places[:, 1]
    points, normals = surface.place(s, t)
    points = points + normals * rng.normal(0, roughness, (len(points), 1))
    triangles = _grid_triangles(counts[0], counts[1])
    if surface.keep is None:
        return Sampled(points, normals, s, t, triangles)
    kept = surface.keep(s, t)
    places_left = np.cumsum(kept) - 1
    triangles = places_left[triangles[kept[triangles].all(1)]]
    return Sampled(points[kept], normals[kept], s[kept], t[kept], triangles)


def area(surface: Surface) -> float:
    """Return a surface's area in square metres, including parts left out."""
    width, height = surface.lengths
    return width * height


def box(low: Sequence[float], high: Sequence[float], without: str = "") -> list[Surface]:
    """Return the sides of a box; their normals point outwards.

    Args:
        low: Minimum of x, y, z in metres.
        high: Maximum of x, y, z in metres.
        without: Sides to leave out, of "left right front back bottom top" (-x +x -y +y -z +z).
    """
    a, b = np.asarray(low, float), np.asarray(high, float)
    x, y, z = np.diag(b - a)
    sides = {
        "left": Sheet(a + y, -y, z),
        "right": Sheet(a + x, y, z),
        "front": Sheet(a, x, z),
        "back": Sheet(b - z, -x, z),
        "bottom": Sheet(a + y, x, -y),
        "top": Sheet(a + z, x, y),
    }
    left_out = without.split()
    return [side for name, side in sides.items() if name not in left_out]


def upright(
    corner: Sequence[float], width: float, height: float, keep: Keep | None = None, folds: tuple[float, float] = (0, 1)
) -> Sheet:
    """Return a sheet along x and z that faces -y, given its lower corner of minimum x."""
    return Sheet(np.array(corner), np.array([width, 0, 0]), np.array([0, 0, height]), keep, folds)


def level(corner: Sequence[float], width: float, depth: float, keep: Keep | None = None) -> Sheet:
    """Return a sheet along x and y that faces upwards, or downwards if `depth` is negative."""
    return Sheet(np.array(corner), np.array([width, 0, 0]), np.array([0, depth, 0]), keep)


def disc(centre: Sequence[float], radii: tuple[float, float], hole: float = 0.0) -> Sheet:
    """Return a level elliptic disc that faces upwards; `hole` is the size of a hole relative to the disc."""
    width, depth = 2 * radii[0], 2 * radii[1]

    def inside(s: Array, t: Array) -> NDArray[np.bool_]:
        r = (s / radii[0] - 1) ** 2 + (t / radii[1] - 1) ** 2
        return (r <= 1) & (r >= hole**2)

    corner = np.asarray(centre, float) - (radii[0], radii[1], 0)
    return Sheet(corner, np.array([width, 0, 0]), np.array([0, depth, 0]), inside)


def _grid_triangles(rows: int, columns: int) -> NDArray[np.int64]:
    places = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = places[:-1, :-1], places[1:, :-1], places[1:, 1:], places[:-1, 1:]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


class Part(NamedTuple):
    """Surfaces of one colour and texture."""

    surfaces: Sequence[Surface]
    colour: Array
    texture: str = "plain"


class Item(NamedTuple):
    """An object in its own frame: x to its right, y to its back, z up, origin on the floor below its centre.

    Attributes:
        kind: Its kind, which determines the label.
        parts: Its parts.
        width: Extent of its footprint along x in metres.
        depth: Extent of its footprint along y in metres.
        height: Height of its highest point in metres.
    """

    kind: str
    parts: Sequence[Part]
    width: float
    depth: float
    height: float
