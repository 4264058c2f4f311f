"""Readers for the three published forms of ModelNet40: point lists as text or HDF5, and the original meshes."""

import hashlib
import io
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from datamodules.location import matching, regular_file
from datamodules.scene import AGAIN, require_finite
from lgm_bench.errors import DataError, did_you_mean
from lgm_bench.extras import require

TRAINING_SHAPES = {
    "airplane": 626, "bathtub": 106, "bed": 515, "bench": 173, "bookshelf": 572, "bottle": 335, "bowl": 64,
    "car": 197, "chair": 889, "cone": 167, "cup": 79, "curtain": 138, "desk": 200, "door": 109, "dresser": 200,
    "flower_pot": 149, "glass_box": 171, "guitar": 155, "keyboard": 145, "lamp": 124, "laptop": 149, "mantel": 284,
    "monitor": 465, "night_stand": 200, "person": 88, "piano": 231, "plant": 240, "radio": 104, "range_hood": 115,
    "sink": 128, "sofa": 680, "stairs": 124, "stool": 90, "table": 392, "tent": 163, "toilet": 344, "tv_stand": 267,
    "vase": 475, "wardrobe": 87, "xbox": 103,
}  # fmt: skip
"""Number of official training shapes per class. In each class, shapes are numbered from 1, the test shapes last."""

CLASSES = tuple(TRAINING_SHAPES)

_T = TypeVar("_T")


class Shape(NamedTuple):
    """A shape's id, class index and file, and its index in the file if that holds several."""

    shape_id: str
    label: int
    file: Path
    place: int = 0


class Form(ABC):
    """A published form: how shapes are stored below a folder."""

    folder: ClassVar[str]
    prepares = True  # whether reading is slow enough that preparing a faster copy is worthwhile

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def shapes(self, split: str) -> list[Shape]:
        """List the shapes of "train" or "test".

        Raises:
            DataError: A file is missing, damaged or not in the expected layout.
        """

    @abstractmethod
    def points(self, shape: Shape, count: int) -> np.ndarray:
        """Return points (count, 3) float64 of a shape, with y pointing up.

        Raises:
            DataError: The file is damaged or holds too few points.
        """


class TextForm(Form):
    """`modelnet40_normal_resampled/CLASS/CLASS_0001.txt`: 10,000 lines of x, y, z and the normal.

    The split comes from the official lists `modelnet40_{train,test}.txt`, else from the number of the shape.
    """

    folder = "modelnet40_normal_resampled"

    def shapes(self, split: str) -> list[Shape]:
        names = self.root / "modelnet40_shape_names.txt"
        if names.is_file():
            _require_classes(names)
        listed = self.root / f"modelnet40_{split}.txt"
        if listed.is_file():
            return [_shape(self.root / _class_of(name, listed) / f"{name}.txt") for name in _lines(listed)]
        shapes = [_shape(path) for path in matching(self.root, "*/*.txt")]
        return [shape for shape in shapes if _is_training_shape(shape) == (split == "train")]

    def points(self, shape: Shape, count: int) -> np.ndarray:
        try:
            with regular_file(shape.file).open() as file:
                text = "".join(line for line, _ in zip(file, range(count), strict=False))
            values = np.loadtxt(io.StringIO(text), delimiter=",", usecols=(0, 1, 2), ndmin=2) if text else np.empty(0)
        except OSError as error:
            raise DataError(f"cannot read {shape.file}: {error.strerror}. {AGAIN}") from error
        except ValueError as error:
            raise DataError(f"{shape.file} is no list of x,y,z,nx,ny,nz: {error}. {AGAIN}") from error
        return _first(values, count, shape.file)


class HDF5Form(Form):
    """`modelnet40_ply_hdf5_2048/ply_data_{train,test}*.h5`: `data` (n, 2048, 3) and `label` (n, 1)."""

    folder = "modelnet40_ply_hdf5_2048"
    prepares = False

    def shapes(self, split: str) -> list[Shape]:
        names = self.root / "shape_names.txt"
        if names.is_file():
            _require_classes(names)
        files = sorted(matching(self.root, f"ply_data_{split}*.h5"), key=lambda path: (len(path.name), path.name))
        return [shape for path in files for shape in self._shapes_of(path)]

    def _shapes_of(self, path: Path) -> Iterator[Shape]:
        labels, size, dtype = _from_hdf5(
            path, lambda file: (np.asarray(file["label"][()]), file["data"].shape, file["data"].dtype)
        )
        fits = len(size) == 3 and size[2] == 3 and labels.size == size[0]
        if not fits or dtype.kind not in "fiu" or labels.dtype.kind not in "iu":
            raise DataError(
                f"{path} holds 'data' of {size} {dtype} and 'label' of {labels.shape} {labels.dtype}, not numbers "
                f"(n, points, 3) and n integers. {AGAIN}"
            )
        for place, label in enumerate(labels.reshape(-1).tolist()):
            if not 0 <= label < len(CLASSES):
                raise DataError(f"{path}: shape {place} has the class {label}; there are 0 to 39. {AGAIN}")
            yield Shape(f"{path.stem}/{place:05d}", label, path, place)

    def points(self, shape: Shape, count: int) -> np.ndarray:
        return _first(_from_hdf5(shape.file, lambda file: file["data"][shape.place]), count, shape.file)


class MeshForm(Form):
    """`ModelNet40/CLASS/{train,test}/CLASS_0001.off`: points are drawn uniformly on the surface, seeded by the id."""

    folder = "ModelNet40"

    def shapes(self, split: str) -> list[Shape]:
        return [_shape(path) for path in matching(self.root, f"*/{split}/*.off")]

    def points(self, shape: Shape, count: int) -> np.ndarray:
        trimesh = require("trimesh", "reading .off meshes")
        sampling = require("trimesh.sample", "reading .off meshes")
        vertices, faces = _read_off(shape.file)
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        area = float(mesh.area)
        if not area > 0:
            raise DataError(f"{shape.file} has no surface: the area of its faces is {area:g}. {AGAIN}")
        seed = int.from_bytes(hashlib.sha256(shape.shape_id.encode()).digest()[:8])
        sampled, _ = sampling.sample_surface(mesh, count, seed=seed)
        # In the meshes z points up; in the published point lists y does.
        return np.asarray(sampled)[:, [0, 2, 1]] * (1.0, 1.0, -1.0)


FORMS: tuple[type[Form], ...] = (TextForm, HDF5Form, MeshForm)


def _shape(path: Path) -> Shape:
    return Shape(path.stem, CLASSES.index(_class_of(path.stem, path)), path)


def _class_of(name: str, file: Path) -> str:
    class_name, _, number = name.rpartition("_")
    if class_name not in TRAINING_SHAPES or not number.isdecimal():
        raise DataError(
            f"{file}: {name!r} is not the name of a shape of ModelNet40, such as airplane_0001"
            f"{did_you_mean(class_name or name, CLASSES)}. {AGAIN}"
        )
    return class_name


def _is_training_shape(shape: Shape) -> bool:
    return int(shape.shape_id.rpartition("_")[2]) <= TRAINING_SHAPES[CLASSES[shape.label]]


def _require_classes(path: Path) -> None:
    names = tuple(_lines(path))
    if names != CLASSES:
        wrong = [name for name in names if name not in CLASSES][:1] or [f"{len(names)} names"]
        raise DataError(f"{path} does not name ModelNet40's 40 classes in alphabetical order: {wrong[0]}. {AGAIN}")


def _lines(path: Path) -> Iterable[str]:
    try:
        return regular_file(path).read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}. {AGAIN}") from error


def _first(values: np.ndarray, count: int, file: Path) -> np.ndarray:
    if len(values) < count:
        raise DataError(f"{file} holds {len(values)} points where {count} are needed. {AGAIN}")
    return values[:count].astype(np.float64)


def _from_hdf5(path: Path, take: Callable[[Any], _T]) -> _T:
    h5py = require("h5py", "reading .h5 files")
    try:
        with h5py.File(regular_file(path), "r") as file:
            return take(file)
    except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError, MemoryError) as error:
        raise DataError(f"{path} is damaged, or lacks 'data' or 'label': {error}. {AGAIN}") from error


def _read_off(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices (V, 3) float64 and triangles (F, 3) int64 of a mesh in the OFF format.

    Line breaks may occur anywhere. If each vertex and each face has its own line, further values on that line, such as
    colours, are ignored. Faces with more than three vertices are split into triangles.
    """
    try:
        content = re.sub(rb"#[^\r\n]*", b"", regular_file(file).read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}. {AGAIN}") from error
    header = re.match(
        rb"\s*C?OFF\s*(\d{1,18})\s+(\d{1,18})([ \t]+\d+)?(?=\s)", content
    )  # some files lack the first line break
    if not header:
        raise DataError(f"{file} does not begin like a mesh in the OFF format. {AGAIN}")
    n_vertices, n_faces = int(header[1]), int(header[2])
    rows = [line.split() for line in content[header.end() :].splitlines() if line.strip()]
    if not header[3] and rows and len(rows[0]) == 1:
        del rows[0]  # the number of edges, on its own line
    try:
        corners, faces = _off_lines(rows, n_vertices, n_faces) or _off_words(rows, n_vertices, n_faces)
        vertices = np.array(corners, np.float64).reshape(n_vertices, 3)
        triangles = _triangles([[int(word) for word in face] for face in faces])
    except IndexError:
        raise DataError(
            f"{file} is truncated: it has {len(rows)} lines for {n_vertices} vertices and {n_faces} faces. {AGAIN}"
        ) from None
    except ValueError as error:
        raise DataError(f"{file} is no mesh in the OFF format: {error}. {AGAIN}") from error
    require_finite(vertices, file, "coordinates")
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < n_vertices:
        wrong = triangles.max() if triangles.min() >= 0 else triangles.min()
        raise DataError(f"{file}: a face has the vertex {wrong}; there are 0 to {n_vertices - 1}. {AGAIN}")
    return vertices, triangles


_Rows = list[list[bytes]]


def _off_lines(rows: _Rows, n_vertices: int, n_faces: int) -> tuple[_Rows, _Rows] | None:
    """Return vertices and faces if each has its own line, else None."""
    corners, faces = rows[:n_vertices], rows[n_vertices : n_vertices + n_faces]
    if len(corners) + len(faces) < n_vertices + n_faces or any(len(row) < 3 for row in corners):
        return None
    if any(not row[0].isdigit() or len(row) <= int(row[0]) for row in faces):
        return None
    return [row[:3] for row in corners], [row[1 : int(row[0]) + 1] for row in faces]


def _off_words(rows: _Rows, n_vertices: int, n_faces: int) -> tuple[_Rows, _Rows]:
    """Return vertices and faces whatever the line breaks.

    Raises:
        IndexError: The file ends early.
        ValueError: A face has a negative number of vertices, or more values follow the last face.
    """
    words = [word for row in rows for word in row]
    if 3 * n_vertices + n_faces > len(words):
        raise IndexError
    corners, place = [words[3 * n : 3 * n + 3] for n in range(n_vertices)], 3 * n_vertices
    faces = []
    for _ in range(n_faces):
        n_corners = int(words[place])
        if n_corners < 0:
            raise ValueError(f"a face has {n_corners} vertices")
        end = place + 1 + n_corners
        faces.append(words[place + 1 : end])
        place = end
    if place > len(words):
        raise IndexError
    if place < len(words):
        raise ValueError(f"{len(words) - place} more values follow the last face")
    return corners, faces


def _triangles(faces: list[list[int]]) -> np.ndarray:
    """Return all faces as triangles: first the triangles, then halved quadrilaterals, then fans of larger faces."""
    quads = [face for face in faces if len(face) == 4]
    triangles = [face for face in faces if len(face) == 3]
    triangles += [[a, b, c] for a, b, c, _ in quads] + [[c, d, a] for a, _, c, d in quads]
    triangles += [[face[0], *pair] for face in faces if len(face) > 4 for pair in itertools.pairwise(face[1:])]
    return np.array(triangles, np.int64).reshape(-1, 3)
