"""Pictures of point clouds without any 3D engine: an orthographic view, the nearer points over the farther ones."""

from dataclasses import dataclass

import numpy as np

MARGIN = 6


@dataclass(frozen=True)
class View:
    """A point of view.

    Attributes:
        turn: Angle of the eye around the vertical axis, degrees.
        height: Angle of the eye above the horizon, degrees; 90 looks straight down.
        width: Width of the picture, pixels.
        reach: Radius around the origin that is shown, metres; None for all.
    """

    turn: float = 30.0
    height: float = 45.0
    width: int = 420
    reach: float | None = None


ROOM, STREET, SHAPE = View(), View(height=60.0, reach=25.0, turn=0.0), View(height=20.0, width=340)
COVER, SMALLEST_DOT, LARGEST_DOT = 0.3, 2, 5
"""Share of a picture that its points would cover side by side, and the smallest and largest edge of one, pixels."""


class Camera:
    """A view of one cloud, which shows its moved copies at the same scale.

    Args:
        view: The point of view.
        points: (N, 3), all that has to fit into the pictures.
        n: Number of points in one picture.
    """

    def __init__(self, view: View, points: np.ndarray, n: int) -> None:
        self.view = view
        turn, tilt = np.radians(view.turn), np.radians(view.height)
        right = np.array([np.cos(turn), np.sin(turn), 0.0])
        ahead = np.array([-np.sin(turn), np.cos(turn), 0.0])
        self.axes = np.stack([
            right, np.sin(tilt) * ahead + np.cos(tilt) * np.array([0, 0, 1.0]),
            -np.cos(tilt) * ahead + np.sin(tilt) * np.array([0, 0, 1.0]),
        ])  # fmt: skip
        seen = points[_near(view, points)] @ self.axes.T
        self.low, high = seen[:, :2].min(0), seen[:, :2].max(0)
        extent = np.maximum(high - self.low, 1e-6)
        self.scale = (view.width - 2 * MARGIN) / extent.max()
        width, height = (round(self.scale * length) + 2 * MARGIN for length in extent.tolist())
        self.size = height, width
        self.dot = int(np.clip(round((COVER * width * height / max(n, 1)) ** 0.5), SMALLEST_DOT, LARGEST_DOT))

    def photograph(self, points: np.ndarray, colours: np.ndarray, first: np.ndarray | None = None) -> np.ndarray:
        """Return a picture (H, W, 4) uint8 with a transparent background.

        Args:
            points: (N, 3), the cloud of this camera, moved or not.
            colours: (N, 3) uint8.
            first: (N,) bool, points that are drawn over all others.
        """
        seen = points @ self.axes.T
        place = np.round(self.scale * (seen[:, :2] - self.low)).astype(int) + MARGIN
        order = np.argsort(seen[:, 2], kind="stable")
        if first is not None:
            order = np.concatenate([order[~first[order]], order[first[order]]])
        order = order[_near(self.view, points)[order]]
        height, width = self.size
        canvas = np.zeros((height, width, 4), np.uint8)
        dots = np.arange(self.dot)
        down = (height - 1 - place[order, 1])[:, None, None] + dots[:, None]
        across = place[order, 0][:, None, None] + dots[None, :]
        drawn = np.concatenate([colours[order], np.full((len(order), 1), 255, np.uint8)], axis=1)
        # Of several points in a pixel the last one stays, which is the nearest.
        canvas[np.clip(down, 0, height - 1), np.clip(across, 0, width - 1)] = drawn[:, None, None]
        return canvas


def _near(view: View, points: np.ndarray) -> np.ndarray:
    """Return which points (N,) bool are within reach, all if none is."""
    near = np.ones(len(points), bool)
    if view.reach is not None:
        near = np.linalg.norm(points[:, :2], axis=1) < view.reach
    return near if near.any() else ~near
