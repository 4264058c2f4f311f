"""A generated street: its cross-section, and the objects along both sides."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from datamodules.generated.street import bodies as of
from datamodules.generated.street import objects as put
from datamodules.generated.street.bodies import Body, Strip
from datamodules.generated.street.objects import Random, Stand

ROAD, PARKING, SIDEWALK, LANE_MARKING, TERRAIN = 40, 44, 48, 60, 72
REACH = 62.0
"""Half length of the generated street in metres; the networks' grids end at 50."""

KERB = 0.12


class Street(NamedTuple):
    """A street along x; its middle is at y = 0.

    Attributes:
        ground: Its strips.
        bodies: The bodies on it; those of one object share an instance number.
        place: x and y of the scanning car in metres, and its heading in radians.
    """

    ground: list[Strip]
    bodies: list[Body]
    place: tuple[float, float, float]


class Side(NamedTuple):
    """Distances in metres from the middle, where one side's parking strip, sidewalk, garden and houses begin."""

    parking: float
    sidewalk: float
    garden: float
    houses: float


def street(seed: tuple[int, ...]) -> Street:
    """Return a street; the same seed gives the same street."""
    rng = np.random.default_rng(list(seed))
    lane = rng.uniform(2.9, 3.8)
    ground = [
        Strip((-lane, lane), (0, 0), ROAD, of.ASPHALT),
        Strip((-0.07, 0.07), (0.001, 0.001), LANE_MARKING, of.PAINT, (3.0, rng.uniform(3.0, 6.0))),
    ]
    bodies: list[Body] = []
    groups: list[list[Body]] = []
    for sign in (-1, 1):
        side = _side(lane, rng)
        ground += list(_ground(side, sign, rng))
        bodies += list(_fixtures(side, sign, rng))
        groups += list(_objects(side, sign, rng))
    groups += list(_traffic(lane, rng))
    for number, group in enumerate(groups, 1):
        bodies += [body._replace(instance=number) for body in group]
    place = (0.0, -lane / 2 + rng.uniform(-0.3, 0.3), rng.uniform(-0.06, 0.06))
    return Street(ground, bodies, place)


def _side(lane: float, rng: Random) -> Side:
    parking = lane + (rng.uniform(2.1, 2.5) if rng.uniform() < 0.65 else 0.0)
    garden = parking + rng.uniform(1.8, 3.2)
    return Side(lane, parking, garden, garden + rng.uniform(2.0, 9.0))


def _ground(side: Side, sign: int, rng: Random) -> Iterator[Strip]:
    bank = rng.uniform(-0.1, 0.8)
    if side.sidewalk > side.parking:
        yield _strip(sign, (side.parking, side.sidewalk), (0, 0), PARKING, of.PAVING)
    yield _strip(sign, (side.sidewalk, side.garden), (KERB, KERB), SIDEWALK, of.PAVING)
    yield _strip(sign, (side.garden, side.houses), (KERB, KERB + bank), TERRAIN, of.GRASS)
    yield _strip(sign, (side.houses, 90.0), (KERB + bank, KERB + bank + rng.uniform(0, 6)), TERRAIN, of.GRASS)


def _strip(
    sign: int, edges: tuple[float, float], heights: tuple[float, float], raw: int, material: of.Material
) -> Strip:
    if sign > 0:
        return Strip(edges, heights, raw, material)
    return Strip((-edges[1], -edges[0]), (heights[1], heights[0]), raw, material)


def _fixtures(side: Side, sign: int, rng: Random) -> Iterator[Body]:
    """Yield the kerb, the houses, and the fences and hedges of the gardens."""
    kerb = Stand((0, sign * (side.sidewalk + 0.05), 0))
    yield kerb.box((-REACH, -0.05, -0.1), (REACH, 0.05, KERB - 0.002), SIDEWALK, of.PAVING)
    x = -REACH
    while x < REACH:
        width, gap = rng.uniform(9, 20), rng.uniform(0, 9) if rng.uniform() < 0.75 else rng.uniform(9, 20)
        if rng.uniform() < 0.85:
            yield from _house(Stand((x + width / 2, sign * side.houses, 0)), sign, width, rng)
        yield from _enclosure(x, x + width + gap, sign * (side.garden + 0.2), rng)
        x += width + gap


def _house(stand: Stand, sign: int, width: float, rng: Random) -> Iterator[Body]:
    deep, high, back = rng.uniform(8, 13), rng.uniform(4, 11), rng.uniform(0, 1.5)
    wall = of.BRICK if rng.uniform() < 0.5 else of.PLASTER
    near, far = sorted((sign * back, sign * (back + deep)))
    yield stand.box((-width / 2, near, -0.5), (width / 2, far, high), put.BUILDING, wall)
    if rng.uniform() < 0.4:  # a porch
        a, b = sorted((sign * (back - 1.2), sign * back))
        x = rng.uniform(-0.3, 0.3) * width
        yield stand.box((x - 1.2, a, -0.5), (x + 1.2, b, rng.uniform(2.4, 3.0)), put.BUILDING, wall)


def _enclosure(start: float, end: float, y: float, rng: Random) -> Iterator[Body]:
    stand, kind = Stand((0, y, KERB)), rng.uniform()
    if kind < 0.35:
        material = of.MESH if rng.uniform() < 0.5 else of.WOOD
        yield stand.box((start, -0.04, -0.1), (end - 1.5, 0.04, rng.uniform(0.9, 1.7)), put.FENCE, material)
    elif kind < 0.65:
        deep = rng.uniform(0.3, 0.6)
        yield stand.box((start, -deep, -0.1), (end - 1.5, deep, rng.uniform(0.8, 2.0)), put.VEGETATION, of.HEDGE)


def _objects(side: Side, sign: int, rng: Random) -> Iterator[list[Body]]:
    """Yield the objects on one side: more than in most streets, so that training sees every class often."""
    kerb, middle = side.sidewalk + 0.4, (side.sidewalk + side.garden) / 2
    heading = 0.0 if sign < 0 else np.pi
    if side.sidewalk > side.parking:
        for x in _places(5.8, 9.0, 0.65, rng):
            stand = Stand((x, sign * (side.parking + 1.1), 0), heading + rng.normal(0, 0.02))
            yield put.car(stand, rng) if rng.uniform() < 0.93 else put.truck(stand, rng)
    along: list[tuple[Callable[[Stand, Random], list[Body]], float, tuple[float, float], float]] = [
        (put.lamp, kerb, (18, 30), -sign * np.pi / 2 - np.pi / 2),
        (put.sign, kerb, (12, 30), heading + np.pi),
        (put.bin_, side.garden - 0.5, (15, 40), 0.0),
        (put.person, middle, (5, 16), heading),
        (put.tree, side.garden + 1.4, (8, 18), 0.0),
    ]
    for make, away, (least, most), yaw in along:
        for x in _places(least, most, 0.85, rng):
            turn = 0.0 if make is put.sign else rng.normal(0, 0.3)
            yield make(Stand((x, sign * (away + rng.uniform(-0.25, 0.25)), KERB), yaw + turn), rng)
    for x in _places(3, 9, 0.7, rng):
        y = rng.uniform(side.garden + 1.0, side.houses + 12)
        yield (put.bush if rng.uniform() < 0.7 else put.tree)(Stand((x, sign * y, KERB + 0.1)), rng)


def _traffic(lane: float, rng: Random) -> Iterator[list[Body]]:
    """Yield the vehicles in both lanes, ahead of and behind the scanning car."""
    for sign, heading in ((-1, 0.0), (1, np.pi)):
        for x in _places(11, 26, 0.7, rng):
            if abs(x) < 9 and sign < 0:
                continue  # the scanning car is here
            stand = Stand((x, sign * lane / 2, 0), heading + rng.normal(0, 0.03))
            vehicle = (put.car, put.MOVING_CAR) if rng.uniform() < 0.75 else (put.truck, put.MOVING_TRUCK)
            yield vehicle[0](stand, rng, vehicle[1])


def _places(least: float, most: float, share: float, rng: Random) -> Iterator[float]:
    """Yield a random share of places along the street that are `least` to `most` metres apart."""
    x = -REACH + rng.uniform(0, most)
    while x < REACH:
        if rng.uniform() < share:
            yield x
        x += rng.uniform(least, most)
