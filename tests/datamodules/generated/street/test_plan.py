"""Generated streets: determined by their seed, closed ground, room for the car that scans them."""

import itertools

import numpy as np
import pytest

from datamodules.generated.semantickitti_mini import street_scan
from datamodules.generated.street.bodies import crossing
from datamodules.generated.street.lidar import HEIGHT
from datamodules.generated.street.plan import street


def test_the_seed_determines_the_scan() -> None:
    one, same, other = (street_scan((0, 8, number)) for number in (1, 1, 2))
    for first, second in zip(one, same, strict=True):
        assert np.array_equal(first, second)
    assert one.points.shape != other.points.shape


@pytest.mark.parametrize("number", range(6))
def test_the_ground_has_no_gaps(number: int) -> None:
    strips = sorted(strip.edges for strip in street((1, number)).ground if strip.dash[1] == 0)
    assert (strips[0][0], strips[-1][1]) == (-90.0, 90.0)
    assert all(first[1] == second[0] for first, second in itertools.pairwise(strips))


@pytest.mark.parametrize("number", range(30))
def test_nothing_stands_where_the_car_is(number: int) -> None:
    """Whatever a ray meets, it is not within a metre; what leans over it does not reach down to the sensor."""
    where = street((2, number))
    origin = np.array([where.place[0], where.place[1], HEIGHT])
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    level = np.stack([np.cos(angles), np.sin(angles), np.zeros(90)], 1)
    for body in where.bodies:
        assert crossing(body, origin, level).enter.min() > 0.95, body


def test_objects_are_numbered() -> None:
    bodies = street((3, 0)).bodies
    by_instance: dict[int, set[int]] = {}
    for body in bodies:
        by_instance.setdefault(body.instance, set()).add(body.raw)
    assert by_instance.pop(0) <= {48, 50, 51, 70}
    assert sorted(by_instance) == list(range(1, len(by_instance) + 1))
    assert {frozenset(raws) for raws in by_instance.values()} >= {
        frozenset({10}),
        frozenset({70, 71}),
        frozenset({80, 81}),
    }
