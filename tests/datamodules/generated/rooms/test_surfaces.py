import numpy as np
import pytest

from datamodules.generated.rooms.surfaces import Sheet, Tube, area, box, disc, sample

SHEET = Sheet(np.array([1.0, 2, 3]), np.array([0, 2.0, 0]), np.array([0, 0, 1.0]))
SURFACES = {
    "sheet": SHEET,
    "folds": SHEET._replace(folds=(0.03, 0.15)),
    "hole": SHEET._replace(keep=lambda s, t: s + t > 1),
    "tube": Tube(np.array([1.0, 0, 0]), (0.5, 0.3), 1.0),
    "cone": Tube(np.zeros(3), (0.5, 0.5), 1.0, top=0.4),
    "disc": disc((0, 0, 1), (0.6, 0.4), hole=0.5),
}


def sampled(surface, spacing: float = 0.02, roughness: float = 0.0):
    return sample(surface, spacing, roughness, np.random.default_rng(0))


def test_a_sheet_is_sampled_evenly_where_it_is() -> None:
    points = sampled(SHEET).points
    assert len(points) == 100 * 50
    assert np.all(points[:, 0] == 1)
    counts, *_ = np.histogram2d(points[:, 1], points[:, 2], bins=(10, 5), range=((2, 4), (3, 4)))
    assert counts.sum() == len(points)
    assert counts.min() > 80
    assert area(SHEET) == 2


def test_a_tube_has_its_radii_and_ends() -> None:
    x, y, z = sampled(SURFACES["tube"]).points.T
    assert np.allclose(((x - 1) / 0.5) ** 2 + (y / 0.3) ** 2, 1)
    assert (0 < z.min() < 0.02, 0.98 < z.max() < 1) == (True, True)
    x, y, z = sampled(SURFACES["cone"]).points.T
    assert np.allclose(np.hypot(x, y), 0.5 * (1 - 0.6 * z))


def test_parts_are_left_out() -> None:
    kept = sampled(SURFACES["hole"])
    assert (kept.s + kept.t > 1).all()
    assert 0.7 < len(kept.points) / 5000 < 0.8  # of 2 m2, a triangle of 0.5 m2 is left out
    x, y, z = sampled(SURFACES["disc"]).points.T
    r = (x / 0.6) ** 2 + (y / 0.4) ** 2
    assert (r.min() > 0.24, r.max() < 1.01, set(z)) == (True, True, {1})


@pytest.mark.parametrize("name", SURFACES)
def test_normals_are_square_to_the_triangles(name: str) -> None:
    surface = sampled(SURFACES[name], 0.01)
    assert np.allclose(np.linalg.norm(surface.normals, axis=1), 1)
    corners = surface.points[surface.triangles]
    assert 1.5 < len(surface.triangles) / len(surface.points) < 2
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    cosines = np.abs((faces * surface.normals[surface.triangles[:, 0]]).sum(1))
    assert np.median(cosines) > 0.98


def test_roughness_is_the_distance_from_the_surface() -> None:
    rough = sampled(SHEET, roughness=0.003).points[:, 0] - 1
    assert 0.0028 < rough.std() < 0.0032


def test_a_box_is_closed_and_faces_outwards() -> None:
    low, high = np.array([0, 1, 2.0]), np.array([1, 3, 5.0])
    sides = box(low, high)
    assert sum(map(area, sides)) == pytest.approx(2 * (1 * 2 + 2 * 3 + 1 * 3))
    for side in sides:
        surface = sampled(side, 0.1)
        assert (surface.points >= low - 1e-9).all()
        assert (surface.points <= high + 1e-9).all()
        assert ((surface.points - (low + high) / 2) * surface.normals).sum(1).min() > 0.4
    names = ["left", "right", "front", "back", "bottom", "top"]
    for place, name in enumerate(names):
        rest = box(low, high, without=name)
        assert [side.corner.tolist() for side in rest] == [
            s.corner.tolist() for s in sides[:place] + sides[place + 1 :]
        ]


def test_what_is_thinner_than_the_spacing_has_points_still() -> None:
    assert len(sampled(SHEET._replace(up=np.array([0, 0, 0.001])), 0.05).points) == 40
