"""Attacked point clouds on disk: an .npz that scores as the attack stage scored it, a coloured .ply to look at."""

import colorsys
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plyfile
import torch
from torch import Tensor

from datamodules.batch import PointBatch
from lgm_bench.evaluation.store.arrays import read_sample, sample_path, write_sample
from lgm_bench.files import write_whole
from lgm_bench.voxels import PointCloud

_GOLDEN_TURN = 0.618033988749895  # of the colour circle; neighbouring classes lie far apart on it


class SavedCloud(NamedTuple):
    """One scene or shape after an attack. In the .npz, arrays of these names.

    Attributes:
        id: Of the sample.
        points: (N, 3) after the attack, metres.
        clean: (N, 3) before it.
        features: (N, F) as the victim takes them.
        labels: (N,) int64 of the points, 255 where there is none; (1,) of a shape.
        prediction: (N,) or (1,) int64, of the hard network after the attack.
        clean_prediction: The same before it.
    """

    id: str
    points: Tensor
    clean: Tensor
    features: Tensor
    labels: Tensor
    prediction: Tensor
    clean_prediction: Tensor

    @property
    def batch(self) -> PointBatch:
        """The attacked cloud with its labels, as a victim and a metric take them."""
        scene = torch.zeros(len(self.points), dtype=torch.int64)
        return PointBatch(PointCloud(self.points, self.features, scene), self.labels, [self.id])


def save_cloud(folder: Path, cloud: SavedCloud, class_names: Sequence[str] = ()) -> None:
    """Write a cloud into a folder, which exists, each file whole or not at all and the .npz last.

    Args:
        folder: Where to.
        cloud: What to write.
        class_names: For the comments of the .ply that say which colour stands for which class.

    Raises:
        OSError: It cannot be written.
    """
    write_whole(sample_path(folder, cloud.id).with_suffix(".ply"), _ply(cloud, class_names))
    write_sample(folder, cloud)


def load_cloud(path: Path) -> SavedCloud:
    """Return a cloud that was saved as .npz.

    Raises:
        ResultError: The file is missing, damaged or holds something else.
    """
    return read_sample(path, SavedCloud, "saved cloud")


def colour(class_index: int) -> tuple[int, int, int]:
    """Return the red, green and blue of a class, each 0 to 255."""
    bright = 0.95 if class_index % 2 == 0 else 0.65
    red, green, blue = colorsys.hsv_to_rgb(class_index * _GOLDEN_TURN % 1, 0.75, bright)
    return round(255 * red), round(255 * green), round(255 * blue)


def _ply(cloud: SavedCloud, class_names: Sequence[str]) -> bytes:
    points, prediction, labels = (
        value.detach().cpu().numpy() for value in (cloud.points, cloud.prediction, cloud.labels)
    )
    columns = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    vertices = np.zeros(len(points), [*columns, ("prediction", "u2"), ("label", "u2")])
    for axis, name in enumerate("xyz"):
        vertices[name] = points[:, axis]
    present = np.unique(prediction).tolist()
    palette = np.zeros((max(present) + 1, 3), np.uint8)
    palette[present] = [colour(index) for index in present]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = palette[prediction, channel]
    vertices["prediction"], vertices["label"] = prediction, labels
    names = {index: class_names[index] if index < len(class_names) else f"class {index}" for index in present}
    comments = [f"prediction {index} {names[index]}: {' '.join(map(str, palette[index]))}" for index in present]
    stream = io.BytesIO()
    element = plyfile.PlyElement.describe(vertices, "vertex")
    plyfile.PlyData([element], byte_order="<", comments=[f"attacked {cloud.id}", *comments]).write(stream)
    return stream.getvalue()
