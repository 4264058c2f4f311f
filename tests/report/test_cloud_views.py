"""Views of point clouds: what hides what, which way is up, and what a canvas unpacks."""

import base64

import numpy as np
import pytest

from lgm_bench.report.cloud_views import Camera, Direction, packed_points

RED, BLUE, GREY = np.array([255, 0, 0], np.uint8), np.array([0, 0, 255], np.uint8), np.array([9, 9, 9], np.uint8)


def colours_in(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in picture[picture[..., 3] > 0][:, :3].tolist()}


def test_nearer_points_hide_farther_ones() -> None:
    points = np.array([[0, 0, 0.0], [0, 0, 1.0], [4, 4, 0]])
    camera = Camera(Direction(turn=0, height=90), points, len(points), width=60)
    assert colours_in(camera.photograph(points, np.stack([RED, BLUE, GREY]))) == {tuple(BLUE), tuple(GREY)}
    below = Camera(Direction(turn=0, height=-90), points, len(points), width=60)
    assert colours_in(below.photograph(points, np.stack([RED, BLUE, GREY]))) == {tuple(RED), tuple(GREY)}


def test_a_view_from_above_has_north_up_and_from_the_side_what_is_high() -> None:
    points = np.array([[0, 0, 0.0], [2, 0, 0], [0, 3, 5.0]])
    for height in (90, 0):
        camera = Camera(Direction(turn=0, height=height), points, len(points), width=80)
        seen = camera.photograph(points, np.stack([GREY, RED, BLUE]))
        (red, blue) = (np.argwhere((seen[..., :3] == colour).all(-1)).mean(0) for colour in (RED, BLUE))
        assert blue[0] < red[0]
        assert red[1] > blue[1]


def test_only_what_lies_behind_an_edge_is_darker() -> None:
    across = np.stack([np.tile(np.arange(40.0), 40), np.repeat(np.arange(40.0), 40), np.zeros(1600)], axis=1)
    white = np.full((1600, 3), 200, np.uint8)
    camera = Camera(Direction(turn=0, height=90), across, 1600, width=120)
    assert colours_in(camera.photograph(across, white)) == {(200, 200, 200)}
    raised = across + np.array([0, 0, 10.0]) * (across[:, :1] > 20)
    brightness = {colour[0] for colour in colours_in(camera.photograph(raised, white))}
    assert max(brightness) == 200
    assert min(brightness) < 150


@pytest.mark.parametrize("scale", [1e-3, 1.0, 80.0])
def test_packed_points_are_those_points_to_a_65535th_and_their_moves_to_a_127th(scale: float) -> None:
    random = np.random.default_rng(0)
    clean = (random.normal(0, scale, (500, 3)) + 3 * scale).astype(np.float32)
    moved = [clean + random.uniform(-e, e, clean.shape).astype(np.float32) * scale for e in (0.01, 0.2)] + [clean]
    packed = packed_points(clean, moved)
    numbers = np.frombuffer(base64.b64decode(packed["points"]), "<u2").reshape(-1, 3)
    unpacked = numbers * packed["step"] + np.array(packed["origin"])
    assert np.abs(unpacked - clean).max() <= (np.ptp(clean, axis=0).max() / 65_535) * 0.51
    assert numbers.max() == 65_535
    for points, text, step in zip(moved, packed["moves"], packed["moveSteps"], strict=True):
        move = np.frombuffer(base64.b64decode(text), np.int8).reshape(-1, 3) * step
        assert np.abs(move - (points - clean)).max() <= np.abs(points - clean).max() / 127 * 0.51
    assert len(packed["points"]) + sum(map(len, packed["moves"])) <= (6 + 3 * 3) * 500 * 4 / 3 + 16
