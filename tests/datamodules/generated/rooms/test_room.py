import itertools

import numpy as np
import pytest
from scipy.spatial import cKDTree

from datamodules.generated.indoor import CLASS_OF_KIND, NYU_OF_KIND
from datamodules.generated.rooms.colours import PALETTES, TEXTURES, draw
from datamodules.generated.rooms.plans import S3DIS_PLANS, SCANNET_PLANS
from datamodules.generated.rooms.room import Room, s3dis_room, scannet_room
from datamodules.generated.rooms.surfaces import Sheet, sample

WALL_AND_FLOOR = {"wall", "floor", "ceiling"}
ON_OTHERS = {"monitor", "pillow", "sink", "counter", "shower curtain"}
NOISE = 0.03


@pytest.fixture(scope="module")
def rooms() -> dict[str, list[Room]]:
    return {
        "scannet": [scannet_room(kind, (1, n)) for n, kind in zip(range(20), itertools.cycle(SCANNET_PLANS))],
        "s3dis": [s3dis_room(kind, (1, n)) for n, kind in zip(range(20), itertools.cycle(S3DIS_PLANS))],
    }


def bounds(room: Room, place: int) -> tuple[np.ndarray, np.ndarray]:
    points = room.points[room.objects == place]
    return points.min(0), points.max(0)


def test_the_seed_determines_the_room() -> None:
    one, same, other = (scannet_room("office", (0, n)) for n in (3, 3, 4))
    for first, second in zip(one, same, strict=True):
        assert np.array_equal(first, second)
    assert one.points.shape != other.points.shape
    assert one.colours.dtype == np.uint8


def test_sizes(rooms) -> None:
    assert all(20_000 <= len(room.points) <= 60_000 for room in rooms["scannet"])
    assert all(15_000 <= len(room.points) <= 45_000 for room in rooms["s3dis"])
    for room in itertools.chain(*rooms.values()):
        extent = np.ptp(room.points, axis=0)
        assert (extent[:2] > 1.7).all()
        assert (extent[:2] < 7.2).all()
        assert 1.6 < extent[2] < 3.1
        assert len(room.colours) == len(room.objects) == len(room.points)
        assert room.triangles.max() < len(room.points)
        assert set(room.objects) == set(range(len(room.kinds)))


@pytest.mark.parametrize(("source", "least", "greatest"), [("scannet", 0.015, 0.03), ("s3dis", 0.028, 0.055)])
def test_points_lie_as_far_apart_as_in_the_real_data(rooms, source: str, least: float, greatest: float) -> None:
    for room in rooms[source]:
        nearest = cKDTree(room.points).query(room.points, 2)[0][:, 1]
        assert least < np.median(nearest) < greatest
        assert np.quantile(nearest, 0.99) < 2 * greatest
        edges = room.points[room.triangles] - room.points[np.roll(room.triangles, 1, 1)]
        assert np.linalg.norm(edges, axis=2).max() < 6 * greatest


def test_classes(rooms) -> None:
    nyu = {NYU_OF_KIND[kind] for room in rooms["scannet"] for kind in room.kinds}
    assert nyu >= {*range(1, 13), 14, 16, 24, 28, 33, 34, 36, 39}
    assert nyu & {18, 29, 30, 35, 40}  # and some that are of no class
    assert {CLASS_OF_KIND.get(kind, "clutter") for room in rooms["s3dis"] for kind in room.kinds} == {
        *CLASS_OF_KIND.values(),
        "clutter",
    }
    for room in rooms["scannet"]:
        assert room.kinds.count("floor") == 1
        assert 2 <= room.kinds.count("wall") <= 3
        assert "ceiling" not in room.kinds
    for room in rooms["s3dis"]:
        assert (room.kinds.count("floor"), room.kinds.count("wall"), room.kinds.count("ceiling")) == (1, 4, 1)


def test_floor_and_ceiling_are_level_and_walls_upright(rooms) -> None:
    for room in rooms["s3dis"]:
        kinds = np.array(room.kinds)[room.objects]
        assert np.abs(room.points[kinds == "floor", 2]).max() < 0.03
        assert np.ptp(room.points[kinds == "ceiling", 2]) < 0.06
        for place in np.flatnonzero(np.array(room.kinds) == "wall"):
            low, high = bounds(room, place)
            assert np.min((high - low)[:2]) < 0.06
        low, high = bounds(room, room.kinds.index("floor"))
        slack = 0.2  # doors and windows are set back into the walls
        assert (room.points[:, :2] > low[:2] - slack).all()
        assert (room.points[:, :2] < high[:2] + slack).all()


def test_nothing_stands_in_anything_else(rooms) -> None:
    checked = 0
    for room in rooms["s3dis"]:
        things = [n for n, kind in enumerate(room.kinds) if kind not in WALL_AND_FLOOR | ON_OTHERS]
        for one, other in itertools.combinations(things, 2):
            (low, high), (low_other, high_other) = bounds(room, one), bounds(room, other)
            shared = np.minimum(high, high_other) - np.maximum(low, low_other)
            assert shared.min() < NOISE, (room.kinds[one], room.kinds[other], shared)
            checked += 1
    assert checked > 1000


def test_the_way_through_doors_is_free(rooms) -> None:
    for room in rooms["s3dis"]:
        kinds = np.array(room.kinds)[room.objects]
        for place in np.flatnonzero(np.array(room.kinds) == "door"):
            low, high = bounds(room, place)
            thin = int(np.argmin((high - low)[:2]))
            inside = np.abs(room.points[:, thin] - (low + high)[thin] / 2) < 0.5
            for axis, margin in ((1 - thin, 0.05), (2, 0.1)):
                inside &= (room.points[:, axis] > low[axis] + margin) & (room.points[:, axis] < high[axis] - margin)
            assert set(kinds[inside]) == {"door"}


def test_colour_alone_does_not_tell_the_class(rooms) -> None:
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.neighbors import KNeighborsClassifier

    for scenes, classes in ((rooms["scannet"], NYU_OF_KIND), (rooms["s3dis"], CLASS_OF_KIND)):
        random = np.random.default_rng(0)
        chosen = [random.permutation(len(room.points))[:2000] for room in scenes]
        rgb = [room.colours[some] for room, some in zip(scenes, chosen, strict=True)]
        labels = [
            np.array([str(classes.get(kind)) for kind in room.kinds])[room.objects[some]]
            for room, some in zip(scenes, chosen, strict=True)
        ]
        seen = KNeighborsClassifier(15).fit(np.concatenate(rgb[:15]), np.concatenate(labels[:15]))
        expected = np.concatenate(labels[15:])
        score = balanced_accuracy_score(expected, seen.predict(np.concatenate(rgb[15:])))
        assert 1 / len(set(expected)) < score < 0.3


def test_objects_of_one_kind_differ_in_colour(rooms) -> None:
    chairs = [
        room.colours[room.objects == place].mean(0)
        for room in rooms["scannet"]
        for place, kind in enumerate(room.kinds)
        if kind == "chair"
    ]
    assert len(chairs) > 8
    assert np.std(chairs, axis=0).min() > 15


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_keep_within_colours(name: str) -> None:
    surface = sample(
        Sheet(np.zeros(3), np.array([2.0, 0, 0]), np.array([0, 1.0, 0])), 0.02, 0, np.random.default_rng(0)
    )
    base = np.array([0.5, 0.4, 0.3])
    painted = TEXTURES[name](surface, base, np.random.default_rng(1))
    assert painted.shape == surface.points.shape
    assert (painted.min() >= 0, painted.max() <= 1) == (True, True)
    assert (len(np.unique(painted, axis=0)) == 1) == (name == "plain")


def test_palettes_give_colours() -> None:
    random = np.random.default_rng(0)
    drawn = np.array([draw(random, {name: 1}) for name in PALETTES for _ in range(200)])
    assert (drawn.min() >= 0, drawn.max() <= 1) == (True, True)
    assert drawn[:200, 0].mean() > drawn[:200, 2].mean() + 0.1  # wood is more red than blue
