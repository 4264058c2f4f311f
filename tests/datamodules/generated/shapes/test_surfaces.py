"""Surfaces of shapes: normals point outwards and points are uniform, by the divergence theorem and known areas."""

import numpy as np
import pytest

from datamodules.generated.shapes.surfaces import Panel, Ring, Surface, box, rod, sample, smooth, turned

COUNT = 200_000


def area(surfaces: list[Surface]) -> float:
    return sum(surface.area for surface in surfaces)


def volume(surfaces: list[Surface]) -> float:
    """A third of the integral of x . n over a closed surface, which holds only if n points outwards everywhere."""
    points, normals = sample(surfaces, COUNT, np.random.default_rng(0))
    return float((points * normals).sum(1).mean()) * area(surfaces) / 3


@pytest.mark.parametrize(
    ("surfaces", "its_area", "its_volume"),
    [
        (box((-1, 0, 1), (1, 3, 2)), 22, 6),
        (turned([(0, 0), (1, 0), (1, 2), (0, 2)]), 6 * np.pi, 2 * np.pi),
        (turned([(0, 0), (1, 0), (0, 1)]), np.pi * (1 + np.sqrt(2)), np.pi / 3),
        (turned([(0, 0), (2, 0), (1, 3), (0, 3)], (1, 2, 3), (1, -1, 2)), np.pi * (5 + 3 * np.sqrt(10)), 7 * np.pi),
        (rod((1, 0, 0), (1, 3, 4), 0.4), np.pi * (0.4 * 5 + 0.08), np.pi * 0.04 * 5),
    ],
)
def test_closed_surfaces(surfaces: list[Surface], its_area: float, its_volume: float) -> None:
    assert area(surfaces) == pytest.approx(its_area)
    assert volume(surfaces) == pytest.approx(its_volume, rel=0.03)
    _, normals = sample(surfaces, COUNT, np.random.default_rng(1))
    assert np.allclose(normals.mean(0), 0, atol=0.01)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)


def test_points_are_uniform_on_a_cone() -> None:
    """A cone's area up to a share s of its slant from the tip is s squared of all."""
    ring = Ring(np.zeros(3), (1.0, 0.0), 2.0, np.array([0.0, 0.0, 1.0]))
    points, normals = ring.draw(COUNT, np.random.default_rng(0))
    from_tip = 1 - points[:, 2] / 2
    assert np.allclose(np.hypot(points[:, 0], points[:, 1]), from_tip)
    for share in (0.1, 0.5, 0.9):
        assert (from_tip < share).mean() == pytest.approx(share**2, abs=0.005)
    angles = np.histogram(np.arctan2(points[:, 1], points[:, 0]), 8)[0]
    assert np.ptp(angles) < 0.05 * COUNT / 8
    assert np.allclose((normals * (points - (0, 0, 2))).sum(1), 0, atol=1e-9)


def test_surfaces_share_points_by_area() -> None:
    small = Panel(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    large = Panel(np.array([0, 0, 5.0]), np.array([3.0, 0, 0]), np.array([1.0, 1, 0]))
    points, _ = sample([small, large], COUNT, np.random.default_rng(0))
    assert (points[:, 2] == 5).mean() == pytest.approx(0.75, abs=0.005)
    assert (points[:1000, 2] == 5).mean() == pytest.approx(0.75, abs=0.05)  # in random order


def test_smooth_profiles_go_through_their_corners() -> None:
    corners = [(0.2, 0.0), (0.5, 0.4), (0.3, 1.0)]
    curve = smooth(corners)
    assert all(any(np.allclose(corner, point) for point in curve) for corner in corners)
    assert len(curve) == 13
