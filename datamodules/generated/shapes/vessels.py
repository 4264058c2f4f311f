"""Shapes of revolution: bottles, bowls, cones, cups, flower pots, lamps, vases. z points up; lengths are relative."""

import itertools

import numpy as np

from datamodules.generated.shapes.surfaces import Surface, rod, smooth, turned

Random = np.random.Generator


def bottle(rng: Random) -> list[Surface]:
    """Return a bottle: a straight body, a shoulder, a long neck."""
    r, body, neck = rng.uniform(0.16, 0.24), rng.uniform(0.5, 0.65), rng.uniform(0.05, 0.08)
    shoulder = body + rng.uniform(0.1, 0.25)
    curve = smooth([(r, body), ((r + neck) / 2 * rng.uniform(0.9, 1.15), (body + shoulder) / 2), (neck, shoulder)])
    return turned([(0, 0), (r, 0), *curve, (neck, 1.0), (0, 1.0)])


def bowl(rng: Random) -> list[Surface]:
    """Return a bowl that is open at the top and wider than it is tall."""
    r, tall, foot = 0.5, rng.uniform(0.25, 0.45), rng.uniform(0.15, 0.25)
    bulge = rng.uniform(0.75, 0.95)
    wall = smooth([(foot, 0), (bulge * r, 0.4 * tall), (r, tall)])
    return turned([(0, 0), *wall]) + _inside(wall, rng.uniform(0.01, 0.03))


def cone(rng: Random) -> list[Surface]:
    """Return a cone, usually with a blunt tip and sometimes with a round foot."""
    r, tip = rng.uniform(0.2, 0.45), rng.uniform(0, 0.06)
    foot = [(r * rng.uniform(1.1, 1.4), 0.0), (r * 1.1, 0.05)] if rng.uniform() < 0.4 else []
    return turned([(0, 0), *foot, (r, foot[-1][1] if foot else 0.0), (tip, 1.0), (0, 1.0)])


def cup(rng: Random) -> list[Surface]:
    """Return a cup with a handle, open at the top."""
    low, high, tall = rng.uniform(0.24, 0.34), rng.uniform(0.32, 0.42), rng.uniform(0.6, 0.85)
    wall = smooth([(low, 0), ((low + high) / 2 * rng.uniform(0.95, 1.1), tall / 2), (high, tall)])
    side, reach, width = (low + high) / 2, rng.uniform(0.16, 0.26), rng.uniform(0.05, 0.08)
    angles = np.linspace(-0.42 * np.pi, 0.42 * np.pi, 8)
    bend = [(side - 0.03 + reach * np.cos(a), 0.0, tall * (0.52 + 0.32 * np.sin(a))) for a in angles]
    handle = [part for start, end in itertools.pairwise(bend) for part in rod(start, end, width)]
    return turned([(0, 0), *wall]) + _inside(wall, 0.03) + handle


def flower_pot(rng: Random) -> list[Surface]:
    """Return a pot that widens upwards to a rim, with earth and a plant of stalks and leaves."""
    low, high, tall = rng.uniform(0.16, 0.22), rng.uniform(0.24, 0.3), rng.uniform(0.38, 0.5)
    rim = high * 1.12
    surfaces = turned([(0, 0), (low, 0), (high, 0.85 * tall), (rim, 0.85 * tall), (rim, tall), (high, tall)])
    surfaces += turned([(high, tall), (high, 0.9 * tall), (0, 0.9 * tall)])
    for _ in range(int(rng.integers(5, 10))):
        lean, angle = rng.uniform(0.05, 0.4), rng.uniform(0, 2 * np.pi)
        end = np.array([lean * np.cos(angle), lean * np.sin(angle), rng.uniform(0.7, 1.0)])
        surfaces += rod((0, 0, 0.9 * tall), end, 0.02)
        size = rng.uniform(0.05, 0.11)
        surfaces += turned(
            smooth([(0, -size), (0.7 * size, 0), (0, size)], 4), end, (np.cos(angle), np.sin(angle), 0.5)
        )
    return surfaces


def lamp(rng: Random) -> list[Surface]:
    """Return a standing lamp: a foot, a pole, and a shade that is open at both ends."""
    foot, pole = rng.uniform(0.14, 0.24), rng.uniform(0.02, 0.05)
    low, high, start = rng.uniform(0.2, 0.32), rng.uniform(0.1, 0.2), rng.uniform(0.6, 0.75)
    shade = [(low, start), (high, 1.0)]
    stand = turned([(0, 0), (foot, 0), (foot, 0.03), (pole / 2, 0.05), (pole / 2, start + 0.1), (0, start + 0.1)])
    return stand + turned(shade) + _inside(shade, 0.01)


def vase(rng: Random) -> list[Surface]:
    """Return a vase: a foot, a belly, a narrower neck and a lip, open at the top."""
    foot, belly = rng.uniform(0.1, 0.2), rng.uniform(0.24, 0.36)
    neck = belly * rng.uniform(0.35, 0.7)
    at = rng.uniform(0.3, 0.55)
    wall = smooth([(foot, 0), (belly, at), (neck, rng.uniform(0.75, 0.88)), (neck * rng.uniform(1.1, 1.6), 1.0)])
    return turned([(0, 0), *wall]) + _inside(wall, 0.015)


def _inside(wall: list[tuple[float, float]], thick: float) -> list[Surface]:
    """Return the inner side of an open wall, with a floor."""
    inner = [(max(r - thick, 0.0), z + thick * (number == 0)) for number, (r, z) in enumerate(wall)]
    return turned([wall[-1], *reversed(inner), (0, inner[0][1])])
