"""Generated shapes as the text form of ModelNet40."""

from collections.abc import Callable, Iterator

import numpy as np

from datamodules.modelnet40_forms import CLASSES, TRAINING_SHAPES, TextForm
from datamodules.shapes import furniture, vessels
from datamodules.shapes.surfaces import Array, Surface, sample

POINTS = 2048

MAKERS: dict[str, Callable[[np.random.Generator], list[Surface]]] = {
    "bathtub": furniture.bathtub,
    "bed": furniture.bed,
    "bench": furniture.bench,
    "bookshelf": furniture.bookshelf,
    "bottle": vessels.bottle,
    "bowl": vessels.bowl,
    "chair": furniture.chair,
    "cone": vessels.cone,
    "cup": vessels.cup,
    "desk": furniture.desk,
    "door": furniture.door,
    "flower_pot": vessels.flower_pot,
    "lamp": vessels.lamp,
    "monitor": furniture.monitor,
    "sofa": furniture.sofa,
    "stairs": furniture.stairs,
    "stool": furniture.stool,
    "table": furniture.table,
    "vase": vessels.vase,
    "wardrobe": furniture.wardrobe,
}
"""The classes of which there are generated shapes, 20 of the 40."""


def shape(class_name: str, seed: tuple[int, ...]) -> tuple[Array, Array]:
    """Return a shape: points (2048, 3) in the unit sphere, y up, uniform on its surface, and their normals (2048, 3).

    Args:
        class_name: A key of `MAKERS`.
        seed: Determines the shape, with its class.
    """
    rng = np.random.default_rng([*seed, CLASSES.index(class_name)])
    points, normals = sample(MAKERS[class_name](rng), POINTS, rng)
    points = points - points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1).max()
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # z up to y up, by a rotation
    return points @ upright, normals @ upright


def shape_files(split: str, each: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a split below `modelnet40_normal_resampled`, its list last.

    Shapes are numbered as the official ones are: those to test on after all those to train on.

    Args:
        split: "train" or "test".
        each: Shapes of each class.
        seed: Determines the shapes, with split, class and number.
    """
    names = []
    for class_name in MAKERS:
        first = 1 if split == "train" else TRAINING_SHAPES[class_name] + 1
        for number in range(first, first + each):
            names.append(f"{class_name}_{number:04d}")
            values = np.concatenate(shape(class_name, (seed, number)), axis=1)
            text = "%.6f,%.6f,%.6f,%.6f,%.6f,%.6f\n" * len(values) % tuple(values.ravel())
            yield f"{TextForm.folder}/{class_name}/{names[-1]}.txt", text.encode("ascii")
    yield f"{TextForm.folder}/modelnet40_shape_names.txt", _lines(CLASSES)
    yield f"{TextForm.folder}/modelnet40_{split}.txt", _lines(names)


def _lines(names: list[str] | tuple[str, ...]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode("ascii")
