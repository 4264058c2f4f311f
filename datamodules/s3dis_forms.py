"""Readers for the three published forms of S3DIS: annotated text files, .npy arrays and .ply files."""

import io
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import NamedTuple

import numpy as np

from datamodules.batch import IGNORED
from datamodules.location import matching, regular_file
from datamodules.ply import points_and_colours, read_vertices
from datamodules.scene import AGAIN, Scene, require_colours
from lgm_bench.errors import DataError

CLASSES = (
    "clutter", "beam", "board", "bookcase", "ceiling", "chair", "column",
    "door", "floor", "sofa", "table", "wall", "window",
)  # fmt: skip
"""The classes in the order of the networks' logits (Tao et al. 2024, Table IX)."""

ORDER_IN_NPY = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door",
    "table", "chair", "sofa", "bookcase", "board", "clutter",
)  # fmt: skip
ORDER_IN_PLY = (*CLASSES[:10], "stairs", *CLASSES[10:])

_NPY = re.compile(r"(Area_\d+)_(\w+)\.npy")


class Form(NamedTuple):
    """A published form of S3DIS: a function that lists the rooms below a folder, and one that reads a room."""

    find: Callable[[Path], list[Path]]
    read: Callable[[Path], Scene]


def read_annotations(folder: Path) -> Scene:
    """Return a room from its official text files, one per object, such as "chair_3.txt".

    Raises:
        DataError: There are no files, or a file does not consist of "x y z r g b" lines.
    """
    paths = annotations(folder)
    if not paths:
        raise DataError(f"{folder} holds no objects; expected files CLASS_K.txt. {AGAIN}")
    objects = [read_points(path) for path in paths]
    for values, path in zip(objects, paths, strict=True):
        require_colours(values[:, 3:6], path)
    classes = [_class_of(path.name.partition("_")[0]) for path in paths]
    labels = np.repeat(classes, [len(values) for values in objects])
    return _scene(np.concatenate(objects), labels)


def read_npy(path: Path) -> Scene:
    """Return a room from an array (N, 7): x, y, z, red, green, blue in 0..255, class as index of `ORDER_IN_NPY`.

    Raises:
        DataError: The file is missing, truncated or not such an array.
    """
    try:
        values = np.load(regular_file(path), allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError, MemoryError) as error:  # the header is Python
        raise DataError(f"{path} is truncated, damaged or no .npy file: {error}. {AGAIN}") from error
    if values.ndim != 2 or values.shape[1] != 7 or values.dtype.kind not in "fiu":
        raise DataError(
            f"{path} is an array {values.shape} of {values.dtype}, not (N, 7) numbers: x y z r g b label. {AGAIN}"
        )
    require_colours(values[:, 3:6], path)
    return _scene(values, _mapped(values[:, 6], ORDER_IN_NPY, path))


def read_ply(path: Path) -> Scene:
    """Return a room from a .ply file whose vertices have a `label`: an index of `ORDER_IN_PLY`, or 255 for unlabelled.

    The released runs merged the points in each cell of 1 cm; cells with points of several classes have the label 255.

    Raises:
        DataError: The file is missing, truncated or lacks properties.
    """
    vertices = read_vertices(path, ["x", "y", "z", "red", "green", "blue", "label"])
    return Scene(*points_and_colours(vertices, path), _mapped(vertices["label"], ORDER_IN_PLY, path))


FORMS = (
    Form(lambda folder: [path for path in matching(folder, "Area_*/*/Annotations") if path.is_dir()], read_annotations),
    Form(lambda folder: [path for path in matching(folder, "Area_*.npy") if _NPY.fullmatch(path.name)], read_npy),
    Form(lambda folder: matching(folder, "Area_*/*.ply"), read_ply),
)


def _scene(values: np.ndarray, labels: np.ndarray) -> Scene:
    return Scene(values[:, :3].astype(np.float32), (values[:, 3:6] / 255).astype(np.float32), labels)


def _class_of(name: str) -> int:
    name = name.lower()
    if name == "stairs":
        return IGNORED
    return CLASSES.index(name if name in CLASSES else "clutter")


def _mapped(labels: np.ndarray, order: Sequence[str], path: Path) -> np.ndarray:
    wrong = ~np.isin(labels, [*range(len(order)), IGNORED])
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{path}: the label of point {place} is {labels[place]}; expected 0 to {len(order) - 1}, or {IGNORED} for "
            f"unlabelled. "
            f"{AGAIN}"
        )
    table = np.full(IGNORED + 1, IGNORED)
    table[: len(order)] = [_class_of(name) for name in order]
    return table[labels.astype(np.int64)]


def annotations(folder: Path) -> list[Path]:
    """Return the text files of a room's objects, sorted by class and number."""
    return sorted(matching(folder, "*_*.txt"), key=lambda path: natural(path.name))


def natural(name: str) -> list[int | str]:
    """Return a sort key that puts room_10 after room_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


_COLUMNS = ("x", "y", "z", "r", "g", "b")
_STRAY = re.compile(rb"[^ -~\t\r\n]")
_NUMBER = re.compile(rb"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|nan|[-+]?inf", re.IGNORECASE)
_log = logging.getLogger(__name__)


def read_points(path: Path) -> np.ndarray:
    """Return the lines of a file as (N, 6) float64: x, y, z in metres, red, green, blue in 0..255.

    The official files contain a few stray control characters in or between numbers, as in "185\\x10187". If a line has
    six numbers once these characters are removed or replaced by spaces, it is read in this way, with a warning.

    Raises:
        DataError: The file is missing or empty, or a line is not six numbers; the message names the line.
    """
    try:
        content = regular_file(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}. {AGAIN}") from error
    if not content.strip():
        raise DataError(f"{path} is empty. {AGAIN}")
    values = _fast(content)
    if values is None:
        content = _repaired(content, path)
        values = _fast(content)
    if values is None:
        content = _spaced(content)
        values = _fast(content)
    return values if values is not None else _by_line(content, path)


def _fast(content: bytes) -> np.ndarray | None:
    """Return the values of lines of numbers between single spaces; None if any line is not of this form."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        table = csv.read_csv(
            io.BytesIO(content),
            csv.ReadOptions(column_names=_COLUMNS, use_threads=False),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(_COLUMNS, pa.float64()), null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    return np.stack([column.to_numpy() for column in table.columns], 1)


def _repaired(content: bytes, path: Path) -> bytes:
    """Return the content without stray characters, in every line where six numbers remain."""
    if not _STRAY.search(content):
        return content
    lines = content.split(b"\n")
    for place, line in enumerate(lines):
        if not _STRAY.search(line):
            continue
        repaired = next((text for text in (_STRAY.sub(b"", line), _STRAY.sub(b" ", line)) if _numbers(text)), None)
        if repaired is not None:
            shown = line.decode("latin-1")
            _log.warning("%s, line %d: read %r as %s", path, place + 1, shown, _numbers(repaired))
            lines[place] = repaired
    return b"\n".join(lines)


def _spaced(content: bytes) -> bytes:
    """Return the lines with single spaces between words and no spaces at their ends."""
    content = re.sub(rb"[ \t\r]{2,}|[\t\r]", b" ", content)
    return re.sub(rb"^ | $", b"", content, flags=re.MULTILINE)


def _by_line(content: bytes, path: Path) -> np.ndarray:
    rows = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line:
            continue
        values = _numbers(line)
        if values is None:
            raise DataError(f"{path}, line {number}: {line[:80].decode('latin-1')!r} is not 'x y z r g b'. {AGAIN}")
        rows.append(values)
    return np.array(rows)


def _numbers(line: bytes) -> list[float] | None:
    words = [word for word in re.split(rb"[ \t\r]", line) if word]
    if len(words) != len(_COLUMNS) or not all(map(_NUMBER.fullmatch, words)):
        return None
    return [float(word) for word in words]
