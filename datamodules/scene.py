"""A scene or shape after reading: its arrays, checks on them, batching and augmentation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from datamodules.batch import IGNORED, PointBatch
from lgm_bench.errors import DataError
from lgm_bench.voxels import PointCloud

AGAIN = "Get the file again from its source, or remove it."


class Scene(NamedTuple):
    """A scene (segmentation) or a shape (classification).

    Attributes:
        points: (N, 3) float32 in metres; shapes are scaled to the unit sphere.
        features: (N, F) float32 colours or reflectance in [0, 1]; F may be 0.
        labels: (N,) int64 class index of each point or `IGNORED`, or (1,) int64 class index of the shape.
    """

    points: np.ndarray
    features: np.ndarray
    labels: np.ndarray

    def thinned(self, spacing: float) -> "Scene":
        """Return the scene with only the first point in each cube of a grid, in the same order.

        The cubes have edges of `spacing` metres and corners at its multiples. The released runs were made on indoor
        scenes that had been prepared so, with cubes of 1 cm.
        """
        cells = np.floor(self.points.astype(np.float64) / spacing).astype(np.int64)
        cells -= cells.min(axis=0)
        keys = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
        first = np.sort(np.unique(keys, return_index=True)[1])
        return Scene(*(values[first] for values in self))


def check_scene(scene: Scene, file: Path, task: str, num_classes: int) -> Scene:
    """Return the scene if it is valid.

    Args:
        scene: The scene.
        file: The file that error messages name.
        task: "segmentation" or "classification".
        num_classes: Number of classes; labels must be below it, or `IGNORED`.

    Raises:
        DataError: There are no points; a coordinate or feature is NaN or infinite; the numbers of points, features and
            labels differ; a label is not a class; or all points are ignored.
    """
    points, features, labels = scene
    if len(points) == 0:
        raise DataError(f"{file} holds no points. {AGAIN}")
    require_finite(points, file, "coordinates")
    if len(features) != len(points):
        raise DataError(f"{file} holds {len(points)} points, but features of {len(features)} points. {AGAIN}")
    require_finite(features, file, "features")
    if task == "segmentation":
        require_as_many(len(points), len(labels), file)
    wrong = labels[(labels != IGNORED) & ((labels < 0) | (labels >= num_classes))]
    if len(wrong):
        raise DataError(f"{file} holds the class {wrong[0]}; there are 0 to {num_classes - 1}. {AGAIN}")
    if (labels == IGNORED).all():
        raise DataError(
            f"{file}: all {len(labels)} labels belong to ignored classes, so nothing can be measured. Remove it."
        )
    return scene


def require_as_many(n_points: int, n_labels: int, file: Path, label_file: Path | None = None) -> None:
    """Raise DataError unless there is one label per point."""
    if n_labels != n_points:
        where = f"{label_file} holds" if label_file else "has"
        raise DataError(f"{file} holds {n_points} points, but {where} {n_labels} labels. {AGAIN}")


def require_finite(values: np.ndarray, file: Path, what: str) -> None:
    """Raise DataError if any of the values (N, K) is NaN or infinite; the message names the first such point."""
    finite = np.isfinite(values)
    if not finite.all():
        place = int(np.flatnonzero(~finite.all(axis=1))[0])
        shown = ", ".join(f"{value:g}" for value in values[place])
        raise DataError(f"{file}: the {what} of point {place} are ({shown}), which is not finite. {AGAIN}")


def require_within(values: np.ndarray, low: float, high: float, file: Path, what: str) -> None:
    """Raise DataError if any of the values (N, K) lies outside a range; the message names the first such point."""
    wrong = ((values < low) | (values > high)).any(axis=1)  # False for NaN, which `require_finite` reports
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        shown = ", ".join(f"{value:g}" for value in values[place])
        raise DataError(f"{file}: the {what} of point {place} is ({shown}), not within {low:g} to {high:g}. {AGAIN}")


def require_colours(colours: np.ndarray, file: Path) -> None:
    """Raise DataError unless colours (N, 3) lie within 0 to 255 and make use of that range."""
    require_within(colours, 0, 255, file, "colour")
    if colours.dtype.kind == "f" and len(colours) and colours.max() <= 1 and (colours % 1 > 0).any():
        raise DataError(f"{file}: all colours lie between 0 and 1; expected 0 to 255. Multiply them by 255.")


def collate(scenes: Sequence[Scene], ids: Sequence[str]) -> PointBatch:
    """Concatenate scenes to one batch."""
    sizes = torch.tensor([len(scene.points) for scene in scenes])
    points, features, labels = (torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*scenes, strict=True))
    number = torch.arange(len(scenes)).repeat_interleave(sizes)
    return PointBatch(PointCloud(points.float(), features.float(), number), labels.long(), list(ids))


@dataclass(frozen=True)
class Augmentation:
    """Rotation about the vertical axis, mirroring, scaling and noise on the coordinates.

    Attributes:
        rotation: Largest angle in either direction about the vertical axis through the origin, in radians.
        flips: Horizontal axes along which a scene is mirrored with probability 1/2 each.
        scaling: Largest relative change of size in either direction.
        jitter: Standard deviation of the noise on each coordinate, in the unit of the points; cut off at twice that.
        up: The vertical axis.
    """

    rotation: float = math.pi
    flips: tuple[int, ...] = (0, 1)
    scaling: float = 0.05
    jitter: float = 0.0
    up: int = 2

    def __call__(self, scene: Scene, generator: torch.Generator) -> Scene:
        """Return a changed copy of a scene. Of the scene, only the number of points affects the random draws."""
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
