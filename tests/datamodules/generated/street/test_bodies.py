"""Where rays meet bodies and ground, against membership of points in them."""

import numpy as np
import pytest

from datamodules.generated.street.bodies import ASPHALT, STEEL, Body, Strip, crossing, meeting

ORIGIN = np.array([0.5, -1.0, 1.7])


def inside(body: Body, points: np.ndarray) -> np.ndarray:
    c, s = np.cos(-body.yaw), np.sin(-body.yaw)
    x, y, z = (points - body.centre).T
    own = np.stack([c * x - s * y, s * x + c * y, z]) / np.array(body.half)[:, None]
    if body.form == "box":
        return (np.abs(own) < 1).all(0)
    if body.form == "cylinder":
        return (own[0] ** 2 + own[1] ** 2 < 1) & (np.abs(own[2]) < 1)
    return (own**2).sum(0) < 1


def rays(count: int) -> np.ndarray:
    """Unit vectors towards about where the bodies of these tests are."""
    found = np.random.default_rng(0).normal((3, 2, -0.4), (1, 1.5, 1), (count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("form", ["box", "cylinder", "ellipsoid"])
@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.5])
def test_rays_are_inside_just_between_entering_and_leaving(form, yaw: float) -> None:
    body = Body(form, (6.0, 3.0, 1.0), (2.0, 0.8, 1.5), yaw, 10, STEEL)
    directions = rays(2000)
    enter, leave, normal = crossing(body, ORIGIN, directions)
    hit = np.isfinite(enter)
    assert 100 < hit.sum() < 1900
    for share in (0.001, 0.5, 0.999):
        distance = enter[hit] + share * (leave[hit] - enter[hit])
        assert inside(body, ORIGIN + directions[hit] * distance[:, None]).all()
    for distance in (enter[hit] - 1e-6, leave[hit] + 1e-6):
        assert not inside(body, ORIGIN + directions[hit] * distance[:, None]).any()
    for distance in np.linspace(0.1, 15, 60):
        assert not inside(body, ORIGIN + directions[~hit] * distance).any()
    assert np.allclose(np.linalg.norm(normal[hit], axis=1), 1)
    assert ((normal[hit] * directions[hit]).sum(1) < 0).all()
    there = ORIGIN + directions[hit] * enter[hit][:, None]
    # A step along the surface leaves it by far less than a step along the normal does.
    tangent = np.cross(normal[hit], directions[hit])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    away = inside(body, there - 1e-3 * normal[hit] + 2e-3 * tangent).mean()
    assert away > 0.97
    assert not inside(body, there + 1e-3 * normal[hit]).any()


def test_what_lies_behind_is_missed() -> None:
    body = Body("ellipsoid", (-6.0, 0.0, 1.0), (1.0, 1.0, 1.0), 0.0, 10, STEEL)
    ahead = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, -0.02]])
    assert np.isinf(crossing(body, np.array([0, 0, 1.2]), ahead).enter).tolist() == [True, False]


@pytest.mark.parametrize("heights", [(0.0, 0.0), (0.2, 1.4), (1.0, -0.5)])
def test_rays_meet_a_strip_on_its_plane(heights) -> None:
    strip = Strip((2.0, 5.0), heights, 40, ASPHALT)
    directions = rays(2000)
    distance, _, normal = meeting(strip, ORIGIN, directions)
    hit = np.isfinite(distance)
    x, y, z = (ORIGIN + directions[hit] * distance[hit][:, None]).T
    assert hit.sum() > 100
    assert ((y > 2 - 1e-9) & (y < 5)).all()
    assert np.allclose(z, np.interp(y, strip.edges, heights))
    edge = np.array([0, 3, heights[1] - heights[0]])
    assert np.allclose(normal @ edge, 0)
    assert (normal[:, 2] > 0).all()
    assert x.max() > 3


def test_dashes_have_gaps() -> None:
    strip = Strip((-1.0, 1.0), (0.0, 0.0), 60, ASPHALT, (3.0, 4.0))
    aims = np.stack([np.linspace(-20, 20, 400), np.zeros(400), np.full(400, -1.7)], 1) - (0.5, -1.0, 0)
    hit = np.isfinite(meeting(strip, ORIGIN, aims / np.linalg.norm(aims, axis=1, keepdims=True)).enter)
    assert np.array_equal(hit, np.mod(np.linspace(-20, 20, 400), 7) < 3)
