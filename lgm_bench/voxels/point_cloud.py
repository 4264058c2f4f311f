"""Point clouds, the inputs of point victims."""

from typing import NamedTuple

import torch
from torch import Tensor

IGNORED = 255
"""Label of points that count in no loss and no metric."""


class PointCloud(NamedTuple):
    """The points of one or several scenes (or shapes), one scene after another.

    Attributes:
        points: (N, 3) floating point, metres; attacks move them.
        features: (N, F) floating point: colours in [0, 1], reflectance in [0, 1], or nothing (F = 0).
        scene: (N,) int64, ascending from 0: the scene of each point.
    """

    points: Tensor
    features: Tensor
    scene: Tensor

    @property
    def n_scenes(self) -> int:
        """Number of scenes."""
        return int(self.scene[-1]) + 1

    def moved(self, points: Tensor) -> "PointCloud":
        """Return the cloud with other points (N, 3)."""
        return self._replace(points=points)

    def to(self, device: torch.device | str) -> "PointCloud":
        """Return the cloud on a device."""
        return PointCloud(*(value.to(device) for value in self))
