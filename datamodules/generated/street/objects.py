"""Objects in a street, each made of a few bodies: vehicles, persons, trees, poles and signs in plausible sizes."""

import numpy as np

from datamodules.generated.street import bodies as of
from datamodules.generated.street.bodies import Body, Form, Material

Random = np.random.Generator
Triple = tuple[float, float, float]

CAR, TRUCK, PERSON = 10, 18, 30
MOVING_CAR, MOVING_TRUCK = 252, 258
BUILDING, FENCE, VEGETATION, TRUNK, POLE, SIGN, OTHER_OBJECT = 50, 51, 70, 71, 80, 81, 99


class Stand:
    """A place in the street with its own frame (x ahead, y to the left, z up), in which bodies are put.

    Args:
        place: x, y, z of its origin in metres.
        yaw: Direction of its x axis in radians.
    """

    def __init__(self, place: Triple, yaw: float = 0.0) -> None:
        self.place, self.yaw = place, yaw

    def body(self, form: Form, centre: Triple, size: Triple, raw: int, material: Material) -> Body:
        """Return a body, given its centre and full extents."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        x, y, z = self.place
        where = (x + c * centre[0] - s * centre[1], y + s * centre[0] + c * centre[1], z + centre[2])
        return Body(form, where, (size[0] / 2, size[1] / 2, size[2] / 2), self.yaw, raw, material)

    def box(self, low: Triple, high: Triple, raw: int, material: Material) -> Body:
        """Return a box, given its minimum and maximum corner."""
        centre = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2)
        return self.body("box", centre, (high[0] - low[0], high[1] - low[1], high[2] - low[2]), raw, material)

    def tube(self, x: float, y: float, z: tuple[float, float], width: float, raw: int, material: Material) -> Body:
        """Return an upright cylinder between two heights."""
        return self.body("cylinder", (x, y, sum(z) / 2), (width, width, z[1] - z[0]), raw, material)


def car(stand: Stand, rng: Random, raw: int = CAR) -> list[Body]:
    """Return a car: body, cabin with windows, wheels; estates have a long cabin, vans are tall."""
    long, wide = rng.uniform(3.7, 4.7), rng.uniform(1.65, 1.85)
    belt, top = rng.uniform(0.8, 0.95), rng.uniform(1.4, 1.6)
    lacquer = of.DARK_LACQUER if rng.uniform() < 0.4 else of.LACQUER
    back, front = -long / 2 + rng.uniform(0.1, 0.6), long / 2 - rng.uniform(1.0, 1.5)
    if rng.uniform() < 0.15:
        top, back, front = rng.uniform(1.8, 2.1), -long / 2, long / 2 - 0.6
    inner = wide / 2 - 0.12
    bodies = [
        stand.box((-long / 2, -wide / 2, 0.28), (long / 2, wide / 2, belt), raw, lacquer),
        stand.box((back, -inner, belt), (front, inner, top - 0.12), raw, of.GLASS),
        stand.box((back + 0.15, -inner, top - 0.12), (front - 0.4, inner, top), raw, lacquer),
    ]
    return bodies + _wheels(stand, long * 0.31, wide / 2, 0.62, raw)


def truck(stand: Stand, rng: Random, raw: int = TRUCK) -> list[Body]:
    """Return a truck: cab, cargo, frame, wheels."""
    long, wide, top = rng.uniform(6.0, 9.5), rng.uniform(2.3, 2.5), rng.uniform(2.8, 3.7)
    cab = long / 2 - rng.uniform(1.6, 2.0)
    bodies = [
        stand.box((-long / 2, -wide / 2, 1.0), (cab - 0.25, wide / 2, top), raw, of.TARPAULIN),
        stand.box((-long / 2, -wide / 2 + 0.3, 0.6), (long / 2 - 0.3, wide / 2 - 0.3, 1.0), raw, of.STEEL),
        stand.box((cab, -wide / 2 + 0.05, 0.5), (long / 2, wide / 2 - 0.05, 1.6), raw, of.LACQUER),
        stand.box(
            (cab, -wide / 2 + 0.1, 1.6), (long / 2 - 0.15, wide / 2 - 0.1, rng.uniform(2.4, 2.8)), raw, of.LACQUER
        ),
    ]
    return bodies + _wheels(stand, long * 0.36, wide / 2, 0.95, raw)


def person(stand: Stand, rng: Random, raw: int = PERSON) -> list[Body]:
    """Return a person: legs apart, trunk with arms, head."""
    tall, step = rng.uniform(1.55, 1.9), rng.uniform(0.0, 0.22)
    hip, neck = 0.48 * tall, 0.84 * tall
    return [
        stand.tube(step, 0.09, (0.0, hip), 0.16, raw, of.CLOTH),
        stand.tube(-step, -0.09, (0.0, hip), 0.16, raw, of.CLOTH),
        stand.body("ellipsoid", (0, 0, (hip + neck) / 2), (0.3, 0.5, neck - hip + 0.12), raw, of.CLOTH),
        stand.body("ellipsoid", (0, 0, tall - 0.12), (0.2, 0.17, 0.25), raw, of.CLOTH),
    ]


def tree(stand: Stand, rng: Random) -> list[Body]:
    """Return a tree: a trunk that ends in a crown of several clumps of leaves."""
    bare, width = rng.uniform(1.8, 3.2), rng.uniform(0.22, 0.5)
    crown, high = rng.uniform(2.0, 4.5), rng.uniform(2.5, 5.5)
    bodies = [stand.tube(0, 0, (-0.3, bare + 0.3 * high), width, TRUNK, of.BARK)]
    for _ in range(int(rng.integers(3, 6))):
        x, y = rng.uniform(-0.25, 0.25, 2) * crown
        size = (crown * rng.uniform(0.5, 0.9), crown * rng.uniform(0.5, 0.9), high * rng.uniform(0.4, 0.7))
        z = bare + rng.uniform(0.35, 0.65) * high
        bodies.append(stand.body("ellipsoid", (x, y, z), size, VEGETATION, of.LEAVES))
    return bodies


def bush(stand: Stand, rng: Random) -> list[Body]:
    """Return a bush: clumps of leaves on the ground."""
    size = rng.uniform(0.7, 2.2)
    places = rng.uniform(-0.4, 0.4, (int(rng.integers(1, 4)), 2)) * size
    sizes = rng.uniform(0.6, 1.1, (len(places), 3)) * size
    return [
        stand.body("ellipsoid", (x, y, 0.3 * extent[2]), (extent[0], extent[1], extent[2]), VEGETATION, of.LEAVES)
        for (x, y), extent in zip(places.tolist(), sizes.tolist(), strict=True)
    ]


def lamp(stand: Stand, rng: Random) -> list[Body]:
    """Return a street lamp; its arm reaches to its left."""
    high, width = rng.uniform(5.0, 8.0), rng.uniform(0.14, 0.24)
    arm = stand.box((-0.06, 0, high - 0.15), (0.06, rng.uniform(0.8, 1.8), high), POLE, of.STEEL)
    return [stand.tube(0, 0, (0, high), width, POLE, of.STEEL), arm]


def sign(stand: Stand, rng: Random) -> list[Body]:
    """Return a traffic sign on a thin pole that faces along its x axis."""
    low, width, tall = rng.uniform(1.6, 2.2), rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.9)
    plate = stand.box((0.04, -width / 2, low), (0.07, width / 2, low + tall), SIGN, of.REFLECTOR)
    return [stand.tube(0, 0, (0, low + tall), 0.08, POLE, of.STEEL), plate]


def bin_(stand: Stand, rng: Random) -> list[Body]:
    """Return a rubbish bin, which belongs to none of the classes."""
    width = rng.uniform(0.5, 0.7)
    size = (width, width, rng.uniform(0.9, 1.2))
    return [stand.body("box", (0, 0, size[2] / 2), size, OTHER_OBJECT, of.RUBBER)]


def _wheels(stand: Stand, x: float, y: float, width: float, raw: int) -> list[Body]:
    return [
        stand.body("box", (along, side * (y - 0.12), width / 2), (width, 0.2, width), raw, of.RUBBER)
        for along in (-x, x)
        for side in (-1, 1)
    ]
