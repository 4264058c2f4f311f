"""The physics of the simulated sensor: beams, ranges, occlusion, reflectance, losses."""

import numpy as np
import pytest

from datamodules.generated.semantickitti_mini import STEPS, street_scan
from datamodules.generated.street import bodies as of
from datamodules.generated.street.bodies import Body, Strip, crossing
from datamodules.generated.street.lidar import (
    ELEVATIONS,
    FARTHEST,
    HEIGHT,
    LOST,
    NEAREST,
    RANGE_NOISE,
    REFLECTANCE_NOISE,
    Scan,
    scan,
)
from datamodules.generated.street.plan import street
from datamodules.semantickitti import RAW_TO_CLASS

GROUND = [Strip((-200.0, 200.0), (0.0, 0.0), 40, of.ASPHALT)]


def seen(bodies: list[Body], ground=GROUND, steps: int = 360, place=(0.0, 0.0, 0.0)) -> Scan:
    return scan(ground, bodies, place, steps, np.random.default_rng(0))


def polar(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Range, elevation, azimuth."""
    flat = np.hypot(points[:, 0], points[:, 1])
    distance = np.linalg.norm(points, axis=1)
    return distance, np.arctan2(points[:, 2], flat), np.arctan2(points[:, 1], points[:, 0])


def wall(x: float, width: float, raw: int = 50, material: of.Material = of.PLASTER) -> Body:
    return Body("box", (x + 0.1, 0.0, 3.0), (0.1, width / 2, 4.0), 0.0, raw, material)


def test_the_beams_are_those_of_the_sensor() -> None:
    degrees = np.rad2deg(ELEVATIONS)
    assert len(degrees) == 64
    assert (degrees[0], degrees[-1]) == pytest.approx((2.0, -24.8))
    assert -np.diff(degrees)[:31] == pytest.approx(1 / 3, abs=0.01)
    assert -np.diff(degrees)[32:] == pytest.approx(0.5, abs=0.02)


def test_points_lie_on_beams_and_evenly_around() -> None:
    _, elevation, azimuth = polar(seen([wall(20, 400)]).points)
    nearest = ELEVATIONS[np.abs(elevation[:, None] - ELEVATIONS).argmin(1)]
    assert np.allclose(elevation, nearest, atol=1e-9)
    steps = np.mod(azimuth, 2 * np.pi / 360)
    assert np.allclose(steps, steps[0], atol=1e-9)
    assert len(np.unique(np.round(azimuth / (2 * np.pi / 360) - 0.25))) == 360


def test_ranges_of_level_ground() -> None:
    points = seen([]).points
    distance, elevation, _ = polar(points)
    assert (elevation < 0).all()
    error = distance + HEIGHT / np.sin(elevation)
    assert abs(error.mean()) < 0.002
    assert error.std() == pytest.approx(np.hypot(RANGE_NOISE, of.ASPHALT.roughness), rel=0.05)
    assert points[distance < 8, 2].mean() == pytest.approx(-HEIGHT, abs=0.003)
    assert (distance.min() > NEAREST, distance.max() < FARTHEST) == (True, True)


def test_nothing_is_seen_behind_a_wall() -> None:
    hidden = Body("box", (15.0, 0.0, 0.8), (2.0, 1.0, 0.8), 0.0, 10, of.LACQUER)
    made = seen([hidden, wall(10, 30)])
    behind = (made.points[:, 0] > 10.3) & (np.abs(made.points[:, 1]) < made.points[:, 0] * 1.4)
    assert not behind.any()
    assert not (made.labels == 10).any()
    assert (made.labels == 50).sum() > 1000
    assert (seen([hidden]).labels == 10).sum() > 100


def test_leaves_let_some_rays_through() -> None:
    crown = Body("ellipsoid", (8.0, 0.0, 1.7), (1.5, 1.5, 1.5), 0.0, 70, of.LEAVES)
    made = seen([crown, wall(20, 200)])
    leaves = made.points[made.labels == 70]
    depth = leaves[:, 0] - 6.5
    assert (depth.min() > -0.2, depth.max() > 1.2) == (True, True)
    shadow = (np.abs(made.points[:, 1] / made.points[:, 0]) < 0.08) & (made.points[:, 0] > 19)
    assert 0 < shadow.sum() < 0.3 * len(leaves)


def test_the_car_sees_from_where_it_is() -> None:
    made = seen([wall(30, 200)], place=(12.0, -2.0, 0.0))
    assert made.points[made.labels == 50][:, 0].mean() == pytest.approx(18.0, abs=0.02)
    turned = seen([wall(30, 200)], place=(12.0, -2.0, np.pi / 2))
    assert turned.points[turned.labels == 50][:, 1].mean() == pytest.approx(-18.0, abs=0.02)


def test_reflectance_falls_with_the_angle_and_tells_materials_apart() -> None:
    made = seen([wall(10, 200)])
    on_wall = made.labels == 50
    cosine = made.points[on_wall, 0] / np.linalg.norm(made.points[on_wall], axis=1)
    error = made.reflectance[on_wall] - of.PLASTER.albedo * cosine
    assert cosine.min() < 0.2
    assert error[cosine > 0.3].mean() == pytest.approx(0, abs=0.002)
    assert error[cosine > 0.3].std() == pytest.approx(REFLECTANCE_NOISE, rel=0.1)
    bright = seen([wall(10, 4, 81, of.REFLECTOR)])
    assert bright.reflectance[bright.labels == 81].mean() > 0.85
    assert np.array_equal(made.reflectance, np.round(made.reflectance, 2))
    assert (made.reflectance.min() >= 0, made.reflectance.max() <= 1) == (True, True)


def test_rays_get_lost_on_glass_and_far_away() -> None:
    def share(material: of.Material, away: float) -> float:
        """Of the rays towards a wall that fills the same angles at any distance."""
        high = Body("box", (away + 0.1, 0.0, HEIGHT), (0.1, 0.4 * away, 0.2 * away), 0.0, 50, material)
        rays = (
            (np.abs(np.rad2deg(ELEVATIONS)) < np.rad2deg(np.arctan(0.19))).sum()
            * 360
            * 2
            * np.arctan(0.4)
            / (2 * np.pi)
        )
        return len(seen([high], ground=[]).points) / float(rays)

    near, far, glass = share(of.PLASTER, 8), share(of.PLASTER, 60), share(of.GLASS, 8)
    assert near == pytest.approx(1 - LOST, abs=0.05)
    assert far < near - 0.05
    assert glass < 0.35
    assert share(of.GLASS, 60) < 0.02


def test_every_point_of_a_street_is_in_sight() -> None:
    """No ray passes through a closed body on its way, wherever it ends."""
    where, made = street((7, 1)), street_scan((7, 1))
    c, s = np.cos(where.place[2]), np.sin(where.place[2])
    distance, _, _ = polar(made.points)
    rays = made.points / distance[:, None] @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    origin = np.array([where.place[0], where.place[1], HEIGHT])
    for body in where.bodies:
        if not body.material.free_path:
            enter = crossing(body, origin, rays).enter
            assert (distance < enter + 0.25).all(), body


def test_streets_look_like_streets() -> None:
    counts: dict[str, int] = {}
    sizes = []
    for number in range(8):
        made = street_scan((5, number))
        sizes.append(len(made.points))
        raws, found = np.unique(made.labels & 0xFFFF, return_counts=True)
        for raw, count in zip(raws.tolist(), found.tolist(), strict=True):
            counts[RAW_TO_CLASS[raw]] = counts.get(RAW_TO_CLASS[raw], 0) + count
        ground = np.isin(made.labels & 0xFFFF, [40, 44, 60])
        assert np.abs(made.points[ground, 2] + HEIGHT).max() < 0.2
        cars = made.labels[np.isin(made.labels & 0xFFFF, [10, 252])] >> 16
        assert (cars > 0).all()
    assert 10_000 < min(sizes) <= max(sizes) < 64 * STEPS
    assert set(counts) == {
        "car", "truck", "person", "road", "parking", "sidewalk", "building", "fence", "vegetation", "trunk", "terrain",
        "pole", "traffic-sign", "unlabeled",
    }  # fmt: skip
    assert 0.15 < counts["road"] / sum(counts.values()) < 0.5
    assert min(counts.values()) > 100
