"""Views of a point cloud and its moved copies: a picture of each, and all points packed for a canvas."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MARGIN = 6
COVER, SMALLEST_DOT, LARGEST_DOT = 2.2, 2, 7
"""Area of all points over the area of the picture; smallest and largest edge of a point, pixels."""
SHADE = 0.35
"""How dark a point becomes behind the edge of a nearer one, see `Camera.photograph`."""
STEPS, MOVE_STEPS = 65_535, 127
"""Steps of packed coordinates across the longest side of the cloud, and of moves up to the longest move."""


@dataclass(frozen=True)
class Direction:
    """A viewing direction.

    Attributes:
        turn: Angle around the vertical axis, degrees.
        height: Angle above the horizon, degrees; 90 looks straight down.
    """

    turn: float = 30.0
    height: float = 40.0


class Camera:
    """A view of one cloud that shows all its moved copies at the same scale.

    Args:
        direction: Viewing direction.
        points: (N, 3), all points that must fit into the pictures.
        n: Number of points per picture.
        width: Width of the pictures, pixels.
    """

    def __init__(self, direction: Direction, points: np.ndarray, n: int, width: int = 300) -> None:
        turn, tilt = np.radians(direction.turn), np.radians(direction.height)
        right = np.array([np.cos(turn), np.sin(turn), 0.0])
        ahead = np.array([-np.sin(turn), np.cos(turn), 0.0])
        up = np.array([0, 0, 1.0])
        self.axes = np.stack([
            right, np.sin(tilt) * ahead + np.cos(tilt) * up, -np.cos(tilt) * ahead + np.sin(tilt) * up
        ])  # fmt: skip
        seen = points @ self.axes.T
        self.low, high = seen[:, :2].min(0), seen[:, :2].max(0)
        extent = np.maximum(high - self.low, 1e-6)
        self.scale = (width - 2 * MARGIN) / extent.max()
        shown_width, shown_height = (round(self.scale * length) + 2 * MARGIN for length in extent.tolist())
        self.size = shown_height, shown_width
        self.dot = int(
            np.clip(round((COVER * shown_width * shown_height / max(n, 1)) ** 0.5), SMALLEST_DOT, LARGEST_DOT)
        )

    def photograph(self, points: np.ndarray, colours: np.ndarray) -> np.ndarray:
        """Return a picture (H, W, 4) uint8 with a transparent background.

        Nearer points hide farther ones, and what lies behind an edge is darker, so that shapes stand out.

        Args:
            points: (N, 3), the cloud, moved or not.
            colours: (N, 3) uint8.
        """
        seen = points @ self.axes.T
        place = np.round(self.scale * (seen[:, :2] - self.low)).astype(int) + MARGIN
        order = np.argsort(seen[:, 2], kind="stable")
        height, width = self.size
        canvas, depth = np.zeros((height, width, 4), np.uint8), np.full((height, width), -np.inf)
        dots = np.arange(self.dot) - self.dot // 2
        down = np.clip((height - 1 - place[order, 1])[:, None, None] + dots[:, None], 0, height - 1)
        across = np.clip(place[order, 0][:, None, None] + dots[None, :], 0, width - 1)
        drawn = np.concatenate([colours[order], np.full((len(order), 1), 255, np.uint8)], axis=1)
        # The last of several points in a pixel stays, which is the nearest.
        canvas[down, across] = drawn[:, None, None]
        depth[down, across] = (self.scale * seen[order, 2])[:, None, None]
        canvas[..., :3] = (canvas[..., :3] * _shades(depth, self.dot / 2)[..., None]).astype(np.uint8)
        return canvas


def _shades(depth: np.ndarray, flat: float) -> np.ndarray:
    """Return the brightness of each pixel (H, W) from how much nearer than `flat` its neighbours are, in pixels."""
    padded = np.pad(depth, 1, constant_values=-np.inf)
    own = np.where(np.isfinite(depth), depth, np.inf)
    around = (padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1])
    nearer = sum(np.clip(other - own - flat, 0, 8) for other in around)
    return np.exp(-SHADE * np.asarray(nearer) / 4)


def packed_points(clean: np.ndarray, moved: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return points (N, 3) and their moved copies as base64 of small integers.

    `points` are uint16 numbers p, and stand for origin + p * step. Each of the `moves` adds an int8 number times its
    own `move_steps`.
    """
    origin = clean.min(axis=0)
    step = max(float((clean - origin).max()), 1e-9) / STEPS
    moves = [points - clean for points in moved]
    move_steps = [max(float(np.abs(move).max()), 1e-9) / MOVE_STEPS for move in moves]
    return {
        "points": base64_of(np.round((clean - origin) / step).astype("<u2")),
        "origin": origin.tolist(),
        "step": step,
        "moves": [base64_of(np.round(move / s).astype(np.int8)) for move, s in zip(moves, move_steps, strict=True)],
        "moveSteps": move_steps,
    }


def base64_of(numbers: np.ndarray) -> str:
    """Return the bytes of an array as text."""
    return base64.b64encode(numbers.tobytes()).decode()
