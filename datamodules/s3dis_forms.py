"""The forms in which rooms of S3DIS lie on disk, and how one is read from each."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import NamedTuple

import numpy as np

from datamodules.batch import IGNORED
from datamodules.ply import points_and_colours, read_vertices
from datamodules.s3dis_text import read_points
from datamodules.scene import AGAIN, Scene
from lgm_bench.errors import DataError

CLASSES = (
    "clutter",
    "beam",
    "board",
    "bookcase",
    "ceiling",
    "chair",
    "column",
    "door",
    "floor",
    "sofa",
    "table",
    "wall",
    "window",
)
"""In the order of the networks' logits (Tao et al. 2024, Table IX)."""

ORDER_IN_NPY = (
    "ceiling",
    "floor",
    "wall",
    "beam",
    "column",
    "window",
    "door",
    "table",
    "chair",
    "sofa",
    "bookcase",
    "board",
    "clutter",
)
ORDER_IN_PLY = (*CLASSES[:10], "stairs", *CLASSES[10:])

_NPY = re.compile(r"(Area_\d+)_(\w+)\.npy")


class Form(NamedTuple):
    """One of the forms in which S3DIS lies on disk: where its rooms are, and how one is read."""

    find: Callable[[Path], list[Path]]
    read: Callable[[Path], Scene]


def read_annotations(folder: Path) -> Scene:
    """Return a room from its official text files, one an object: "chair_3.txt".

    Raises:
        DataError: There is none, or a file cannot be read as "x y z r g b" lines.
    """
    paths = annotations(folder)
    if not paths:
        raise DataError(f"{folder} holds no objects: they were looked for as CLASS_K.txt. {AGAIN}")
    objects = [read_points(path) for path in paths]
    for values, path in zip(objects, paths, strict=True):
        _require_colours(values[:, 3:6], path)
    classes = [_class_of(path.name.partition("_")[0]) for path in paths]
    labels = np.repeat(classes, [len(values) for values in objects])
    return _scene(np.concatenate(objects), labels)


def read_npy(path: Path) -> Scene:
    """Return a room from an array (N, 7): x, y, z, red, green, blue in 0..255, class in `ORDER_IN_NPY`.

    Raises:
        DataError: The file is missing, truncated or another array.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as error:  # the header is Python
        raise DataError(f"{path} is truncated, damaged or no .npy file: {error}. {AGAIN}") from error
    if values.ndim != 2 or values.shape[1] != 7 or values.dtype.kind not in "fiu":
        raise DataError(
            f"{path} is an array {values.shape} of {values.dtype}, not (N, 7) numbers: x y z r g b label. {AGAIN}"
        )
    _require_colours(values[:, 3:6], path)
    return _scene(values, _mapped(values[:, 6], ORDER_IN_NPY, path))


def read_ply(path: Path) -> Scene:
    """Return a room from a .ply file, its vertices with a `label` in `ORDER_IN_PLY`.

    Raises:
        DataError: The file is missing, truncated or lacks properties.
    """
    vertices = read_vertices(path, ["x", "y", "z", "red", "green", "blue", "label"])
    return Scene(*points_and_colours(vertices), _mapped(vertices["label"], ORDER_IN_PLY, path))


FORMS = (
    Form(lambda folder: [path for path in folder.glob("Area_*/*/Annotations") if path.is_dir()], read_annotations),
    Form(lambda folder: [path for path in folder.glob("Area_*.npy") if _NPY.fullmatch(path.name)], read_npy),
    Form(lambda folder: list(folder.glob("Area_*/[!.]*.ply")), read_ply),
)


def _scene(values: np.ndarray, labels: np.ndarray) -> Scene:
    return Scene(values[:, :3].astype(np.float32), (values[:, 3:6] / 255).astype(np.float32), labels)


def _class_of(name: str) -> int:
    if name == "stairs":
        return IGNORED
    return CLASSES.index(name if name in CLASSES else "clutter")


def _mapped(labels: np.ndarray, order: Sequence[str], path: Path) -> np.ndarray:
    wrong = ~np.isin(labels, np.arange(len(order)))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{path}: the label of point {place} is {labels[place]}, not 0 to {len(order) - 1}. {AGAIN}")
    return np.array([_class_of(name) for name in order])[labels.astype(np.int64)]


def _require_colours(colours: np.ndarray, path: Path) -> None:
    with np.errstate(invalid="ignore"):
        wrong = ((colours < 0) | (colours > 255)).any(1)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        shown = ", ".join(f"{value:g}" for value in colours[place])
        raise DataError(f"{path}: the colour of point {place} is ({shown}), not of 0 to 255. {AGAIN}")


def annotations(folder: Path) -> list[Path]:
    """Return the text files of a room's objects by class and number."""
    return sorted((path for path in folder.glob("*_*.txt") if path.name[0] != "."), key=lambda path: natural(path.name))


def natural(name: str) -> list[int | str]:
    """Return a key that sorts room_10 after room_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
