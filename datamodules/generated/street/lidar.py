"""A simulated spinning LiDAR with 64 beams, like the Velodyne HDL-64E on KITTI's car."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.generated.street.bodies import Array, Body, Crossing, Material, Strip, crossing, meeting

HEIGHT = 1.73
"""Height of the sensor above the road in metres."""

ELEVATIONS = np.deg2rad(np.concatenate([np.linspace(2.0, -8.33, 32), np.linspace(-8.83, -24.8, 32)]))
"""Elevation of each beam in radians, from the top: steps of 1/3 degree in the upper block, 1/2 in the lower one."""

NEAREST, FARTHEST = 0.9, 80.0
RANGE_NOISE = 0.02
REFLECTANCE_NOISE = 0.02
LOST = 0.03
"""Share of rays that are lost on the way."""


class Scan(NamedTuple):
    """The N points of a scan.

    Attributes:
        points: (N, 3) float64 in metres, relative to the sensor: x ahead, y to the left, z up.
        reflectance: (N,) float64 in [0, 1], rounded to hundredths.
        labels: (N,) uint32: SemanticKITTI id in the lower 16 bits, instance in the upper 16.
    """

    points: Array
    reflectance: Array
    labels: NDArray[np.uint32]


class Hits(NamedTuple):
    """The first hit of each ray: distance (infinite: no hit), label, cosine of incidence, index of the material."""

    distance: Array
    label: NDArray[np.uint32]
    cosine: Array
    material: NDArray[np.int64]


def scan(
    ground: Sequence[Strip],
    bodies: Sequence[Body],
    place: tuple[float, float, float],
    steps: int,
    rng: np.random.Generator,
) -> Scan:
    """Return the scan of one turn of the sensor.

    Args:
        ground: The strips of ground.
        bodies: The bodies on the ground; none contains the sensor.
        place: x and y of the car in metres, and its heading in radians.
        steps: Number of horizontal directions in which all beams fire; the real sensor has about 2,000.
        rng: Draws the starting direction, depths inside leaves, noise and lost rays.
    """
    azimuths = (np.arange(steps) + rng.uniform()) * (2 * np.pi / steps)
    own = directions(azimuths)
    turned = directions(azimuths + place[2])
    origin = np.array([place[0], place[1], HEIGHT])
    materials = list(dict.fromkeys(thing.material for thing in (*ground, *bodies)))
    hits = _first_hits(ground, bodies, origin, azimuths + place[2], turned, materials, rng)
    return _measured(own.reshape(-1, 3), hits, materials, rng)


def directions(azimuths: Array) -> Array:
    """Return unit vectors (A, 64, 3) of the beams at azimuths (A,), in radians from x to y."""
    flat = np.stack([np.cos(azimuths), np.sin(azimuths)], 1)
    up = np.broadcast_to(np.sin(ELEVATIONS), (len(azimuths), len(ELEVATIONS)))
    return np.concatenate([flat[:, None] * np.cos(ELEVATIONS)[:, None], up[..., None]], 2)


def _first_hits(
    ground: Sequence[Strip],
    bodies: Sequence[Body],
    origin: Array,
    azimuths: Array,
    rays: Array,
    materials: list[Material],
    rng: np.random.Generator,
) -> Hits:
    shape = rays.shape[:2]
    hits = Hits(np.full(shape, np.inf), np.zeros(shape, np.uint32), np.ones(shape), np.zeros(shape, np.int64))
    for thing, columns in _in_sight(ground, bodies, origin, azimuths):
        chosen = rays[columns].reshape(-1, 3)
        met = meeting(thing, origin, chosen) if isinstance(thing, Strip) else crossing(thing, origin, chosen)
        distance = _depth(met, thing.material, rng).reshape(-1, shape[1])
        nearer = distance < hits.distance[columns]
        cosine = np.abs((met.normal * chosen).sum(1)).reshape(distance.shape)
        label = thing.raw | (thing.instance << 16 if isinstance(thing, Body) else 0)
        values = (distance, np.uint32(label), cosine, materials.index(thing.material))
        for kept, value in zip(hits, values, strict=True):
            kept[columns] = np.where(nearer, value, kept[columns])
    return hits


def _in_sight(
    ground: Sequence[Strip], bodies: Sequence[Body], origin: Array, azimuths: Array
) -> Iterator[tuple[Strip | Body, NDArray[np.int64]]]:
    """Yield everything within range, each with the indices of the azimuths at which it may be hit."""
    everywhere = np.arange(len(azimuths))
    yield from ((strip, everywhere) for strip in ground)
    for body in bodies:
        x, y = body.centre[0] - origin[0], body.centre[1] - origin[1]
        away = np.hypot(x, y)
        if away - body.radius > FARTHEST:
            continue
        if away <= body.radius:
            yield body, everywhere
            continue
        off = np.abs(np.mod(azimuths - np.arctan2(y, x) + np.pi, 2 * np.pi) - np.pi)
        columns = np.flatnonzero(off <= np.arcsin(body.radius / away))
        if len(columns):
            yield body, columns


def _depth(met: Crossing, material: Material, rng: np.random.Generator) -> Array:
    """Return the distances at which rays are reflected; infinite for rays that pass through."""
    if not material.free_path:
        return met.enter
    depth = met.enter + rng.exponential(material.free_path, len(met.enter))
    return np.where(depth < met.leave, depth, np.inf)


def _measured(rays: Array, hits: Hits, materials: list[Material], rng: np.random.Generator) -> Scan:
    """Return the rays that return to the sensor, with noise."""
    distance, label, cosine, material = (values.reshape(-1) for values in hits)
    albedo, retro, lost, roughness, _ = np.array(materials).T[:, material]
    noise = rng.normal(0, 1, (2, len(rays)))
    with np.errstate(invalid="ignore"):
        measured = distance + noise[0] * np.hypot(RANGE_NOISE, roughness)
    reflectance = albedo * (retro + (1 - retro) * cosine) + noise[1] * REFLECTANCE_NOISE
    # Rays are lost more often on dark, distant or obliquely seen surfaces.
    faint = np.minimum(0.5, 0.1 * np.nan_to_num(distance / FARTHEST, posinf=1) ** 2 / np.maximum(albedo * cosine, 0.02))
    back = rng.uniform(size=len(rays)) >= LOST + lost + faint
    seen = back & (measured > NEAREST) & (measured < FARTHEST)
    points = rays[seen] * measured[seen, None]
    return Scan(points, np.round(np.clip(reflectance[seen], 0, 1), 2), label[seen])
