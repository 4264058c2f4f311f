"""Random changes of training scenes that leave their labels true."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from datamodules.scene import Scene


@dataclass(frozen=True)
class Augmentation:
    """Rotation about the vertical axis, mirroring, scaling and noise on the coordinates.

    Attributes:
        rotation: Largest angle in radians, either way, about the vertical axis through the origin.
        flips: Horizontal axes along which a scene is mirrored, each with probability 1/2.
        scaling: Largest relative change of size, either way.
        jitter: Standard deviation of the noise on every coordinate, in the unit of the points; cut off at twice that.
        up: The vertical axis.
    """

    rotation: float = math.pi
    flips: tuple[int, ...] = (0, 1)
    scaling: float = 0.05
    jitter: float = 0.0
    up: int = 2

    def __call__(self, scene: Scene, generator: torch.Generator) -> Scene:
        """Return a changed copy of a scene; what is drawn does not depend on it but for its number of points."""
        angle, factor, *mirrored = (2 * torch.rand(2 + len(self.flips), generator=generator).double() - 1).tolist()
        noise = torch.randn(scene.points.shape, generator=generator).clamp_(-2, 2).numpy() * self.jitter
        matrix = _rotation(angle * self.rotation, self.up) * (1 + factor * self.scaling)
        for axis, side in zip(self.flips, mirrored, strict=True):
            matrix[:, axis] *= 1 if side < 0 else -1
        points = scene.points @ matrix.T + noise
        return scene._replace(points=points.astype(np.float32))


def _rotation(angle: float, up: int) -> np.ndarray:
    first, second = [axis for axis in range(3) if axis != up]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix
