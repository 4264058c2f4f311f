"""Colours of generated objects: palettes, textures and lighting.

Several kinds of objects share a palette, so colour alone does not identify the kind.
"""

import colorsys
from collections.abc import Callable, Mapping

import numpy as np

from datamodules.generated.rooms.surfaces import Array, Sampled

PALETTES = {  # mean and standard deviation of hue (None: any hue), saturation and value
    "wood": ((0.075, 0.02), (0.48, 0.12), (0.52, 0.16)),
    "white": ((0.12, 0.05), (0.06, 0.04), (0.86, 0.07)),
    "cream": ((0.11, 0.03), (0.24, 0.08), (0.80, 0.08)),
    "grey": ((0.60, 0.10), (0.06, 0.05), (0.50, 0.15)),
    "dark": ((0.60, 0.20), (0.18, 0.10), (0.20, 0.07)),
    "paint": ((None, 0.0), (0.18, 0.08), (0.80, 0.08)),
    "fabric": ((None, 0.0), (0.45, 0.18), (0.50, 0.17)),
    "vivid": ((None, 0.0), (0.70, 0.15), (0.65, 0.17)),
    "steel": ((0.58, 0.05), (0.08, 0.05), (0.66, 0.10)),
    "glass": ((0.56, 0.04), (0.28, 0.12), (0.78, 0.12)),
}
Mixture = Mapping[str, float]
"""Weight of each palette."""


def draw(rng: np.random.Generator, mixture: Mixture) -> Array:
    """Return a colour (3,) in [0, 1], drawn from a mixture of palettes.

    >>> draw(np.random.default_rng(0), {"wood": 0.7, "white": 0.3}).shape
    (3,)
    """
    names = list(mixture)
    shares = np.array([mixture[name] for name in names])
    hue, saturation, value = PALETTES[names[rng.choice(len(names), p=shares / shares.sum())]]
    h = rng.uniform() if hue[0] is None else rng.normal(hue[0], hue[1])
    s, v = rng.normal(*saturation), rng.normal(*value)
    return np.array(colorsys.hsv_to_rgb(h % 1, float(np.clip(s, 0, 1)), float(np.clip(v, 0.05, 1))))


def lit(surface: Sampled, colours: Array, lamp: Array, rng: np.random.Generator) -> Array:
    """Return colours (N, 3) as a camera sees them: shaded, darker far from the lamp at (3,), with sensor noise."""
    ray = lamp - surface.points
    distance = np.linalg.norm(ray, axis=1, keepdims=True)
    facing = np.abs((surface.normals * ray).sum(1, keepdims=True)) / distance
    brightness = (0.62 + 0.38 * facing) * (1.08 - 0.06 * distance)
    return colours * brightness + rng.normal(0, 0.025, colours.shape) + rng.normal(0, 0.015, (len(colours), 1))


def _plain(surface: Sampled, base: Array, rng: np.random.Generator) -> Array:  # noqa: ARG001
    return np.broadcast_to(base, surface.points.shape)


def _cells(size_s: float, size_t: float, spread: float, joint: float = 0.0) -> "Texture":
    """Return a texture of rectangles of varying brightness with darker joints, for planks and tiles."""

    def texture(surface: Sampled, base: Array, rng: np.random.Generator) -> Array:
        offset = rng.uniform(0, 1, 2)
        s, t = surface.s / size_s + offset[0], surface.t / size_t + offset[1]
        tints = rng.normal(1, spread, 997)
        brightness = tints[(np.floor(s).astype(int) * 31 + np.floor(t).astype(int) * 57) % 997]
        if joint:
            edge = np.minimum((s % 1) * size_s, (t % 1) * size_t) < joint
            brightness = np.where(edge, brightness * 0.75, brightness)
        return base * brightness[:, None]

    return texture


def _stripes(surface: Sampled, base: Array, rng: np.random.Generator) -> Array:
    second = np.clip(base * rng.uniform(0.6, 1.4), 0, 1)
    return np.where(((surface.s / rng.uniform(0.08, 0.2)) % 1 < 0.5)[:, None], base, second)


def _books(surface: Sampled, base: Array, rng: np.random.Generator) -> Array:  # noqa: ARG001
    backs = np.stack([draw(rng, {"vivid": 0.5, "fabric": 0.3, "dark": 0.2}) for _ in range(60)])
    return backs[(surface.s / rng.uniform(0.035, 0.06)).astype(int) % 60]


def _painting(surface: Sampled, base: Array, rng: np.random.Generator) -> Array:
    colours = [base, *(draw(rng, {"vivid": 0.6, "fabric": 0.4}) for _ in range(3))]
    image = np.zeros_like(surface.points)
    for colour in colours:
        direction, phase = rng.normal(0, 6, 2), rng.uniform(0, 2 * np.pi)
        weight = 0.5 + 0.5 * np.sin(surface.s * direction[0] + surface.t * direction[1] + phase)
        image = image * (1 - weight[:, None]) + colour * weight[:, None]
    return image


Texture = Callable[[Sampled, Array, np.random.Generator], Array]
TEXTURES: dict[str, Texture] = {
    "plain": _plain,
    "planks": _cells(1.2, 0.14, 0.10, joint=0.012),
    "tiles": _cells(0.3, 0.3, 0.05, joint=0.015),
    "panels": _cells(0.6, 0.6, 0.03, joint=0.03),
    "carpet": _cells(0.05, 0.05, 0.10),
    "stripes": _stripes,
    "books": _books,
    "painting": _painting,
}
