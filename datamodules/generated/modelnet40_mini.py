"""Generated shapes in ModelNet40's layout: a small data set that needs no download."""

from collections.abc import Callable, Iterator

import numpy as np

from datamodules.generated.miniature import SEED, Files, Miniature
from datamodules.generated.shapes import furniture, vessels
from datamodules.generated.shapes.surfaces import Array, Surface, sample
from datamodules.modelnet40 import ModelNet40DataModule
from datamodules.modelnet40_forms import CLASSES, TRAINING_SHAPES, TextForm

POINTS = 2048

EACH = {"test": 4, "train": 30}
"""Number of shapes per class. Of the 30 training shapes, 3 are held out."""

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
"""The generated classes, 20 of the 40."""


class ModelNet40MiniDataModule(Miniature, ModelNet40DataModule):
    """Generated shapes of 20 of ModelNet40's 40 classes: 27 of each to train on, 3 held out, 4 to test on.

    Class indices are those of the full 40 classes. A shape has at most 2,048 points. For arguments see `Miniature`.
    """

    name = "modelnet40-mini"

    def files(self, part: str) -> Files:
        return shape_files(part, EACH[part], SEED)


def shape(class_name: str, seed: tuple[int, ...]) -> tuple[Array, Array]:
    """Return a shape: points (2048, 3), uniform on its surface, in the unit sphere, y up; and normals (2048, 3).

    Args:
        class_name: A key of `MAKERS`.
        seed: Determines the shape, with the class.
    """
    rng = np.random.default_rng([*seed, CLASSES.index(class_name)])
    points, normals = sample(MAKERS[class_name](rng), POINTS, rng)
    points = points - points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1).max()
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # rotates z up to y up
    return points @ upright, normals @ upright


def shape_files(split: str, each: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a split below `modelnet40_normal_resampled`; its list comes last.

    As in the official set, the numbers of test shapes follow those of all official training shapes of the class.

    Args:
        split: "train" or "test".
        each: Number of shapes per class.
        seed: Determines the shapes, with the class and the number.
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
