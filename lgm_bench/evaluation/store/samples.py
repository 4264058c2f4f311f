"""Samples that a cell's folder keeps beside their rows: one .npz each, with an array per field."""

import colorsys
import io
import logging
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote
from zipfile import BadZipFile

import numpy as np
import plyfile
import torch
from torch import Tensor

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.files import content_of, set_aside, unreadable, writing
from lgm_bench.files import write_whole
from lgm_bench.tasks.samples import ExampleCloud, GateRecord, SavedCloud, SavedImage

log = logging.getLogger(__name__)

FEWEST_EXAMPLES, MOST_EXAMPLES, EXAMPLE_BYTES = 2, 32, 8_000_000
"""How many first samples of a data set are kept as examples: as many as take so many bytes, within these limits."""
EXAMPLES, CLOUDS, IMAGES = "examples", "clouds", "images"
GATES = "gates"
CHANGE = "universal.npy"
"""The change that a universal perturbation adds to every image, (C, H, W)."""

_GOLDEN_TURN = 0.618033988749895  # share of the colour circle from one class to the next; it puts them far apart
_DAMAGED = (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, BadZipFile, zlib.error)


Sample = SavedImage | SavedCloud | ExampleCloud
Kind = TypeVar("Kind", SavedImage, SavedCloud, ExampleCloud)


def n_examples(sample_bytes: float) -> int:
    """Return how many first samples of a data set are kept as examples; each is kept before and after the attack.

    >>> n_examples(3 * 32 * 32 * 4), n_examples(3 * 224 * 224 * 4), n_examples(1e8)
    (32, 6, 2)
    """
    return min(max(int(EXAMPLE_BYTES / (2 * sample_bytes)), FEWEST_EXAMPLES), MOST_EXAMPLES)


def keep_example(cell: Path, sample: SavedImage | ExampleCloud) -> None:
    """Keep an example in a cell's folder, before the rows of its batch are added.

    Raises:
        CannotWriteError: It cannot be written.
    """
    _keep(cell / EXAMPLES, sample)


def keep_adversarial(cell: Path, sample: SavedImage | SavedCloud, class_names: Sequence[str] = ()) -> None:
    """Keep an attacked image or point cloud in a cell's folder, before the rows of its batch are added.

    A coloured .ply is written beside a cloud, for viewers; its comments name the class of each colour.

    Raises:
        CannotWriteError: It cannot be written.
    """
    picture = None
    if isinstance(sample, SavedCloud):
        picture = coloured_ply(sample.id, sample.points, sample.prediction, sample.labels, class_names)
    _keep(cell / (IMAGES if picture is None else CLOUDS), sample, picture)


def kept_change(cell: Path, learn: Callable[[], Tensor]) -> Tensor:
    """Return the universal change (C, H, W) in a cell's folder; if there is none, the one that `learn` returns is kept.

    A damaged file is set aside, and learned again.

    Raises:
        ResultError: The file cannot be read.
        CannotWriteError: It cannot be written.
    """
    path = cell / CHANGE
    content = content_of(path)
    if content is not None:
        try:
            return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False))
        except _DAMAGED as error:
            set_aside(path, f"it is damaged ({error})")
    change, buffer = learn(), io.BytesIO()
    np.save(buffer, change.cpu().numpy())
    with writing(path):
        write_whole(path, buffer.getvalue())
    return change


def _keep(folder: Path, sample: Sample, picture: bytes | None = None) -> None:
    with writing(folder):
        folder.mkdir(exist_ok=True)
        if picture is not None:
            write_whole(sample_path(folder, sample.id).with_suffix(".ply"), picture)
        write_sample(folder, sample)


def without_adversarial(cell: Path, ids: Sequence[str], kind: type[SavedImage | SavedCloud]) -> set[str]:
    """Return the samples without an attacked `kind` in a cell's folder; damaged files are set aside.

    Raises:
        ResultError: A file cannot be read.
    """
    folder, missing = cell / (CLOUDS if issubclass(kind, SavedCloud) else IMAGES), set()
    for sample_id in ids:
        path = sample_path(folder, sample_id)
        if path.exists() and not _holds(path, kind, sample_id):
            set_aside(path, f"it is damaged or no {kind.__name__} of this sample")
        if not path.exists():
            missing.add(sample_id)
    return missing


def sample_path(folder: Path, sample_id: str) -> Path:
    """Return the path of a sample's .npz.

    >>> sample_path(Path("clouds"), "ply_data_test0/00012").name
    'ply_data_test0%2F00012.npz'
    """
    return folder / f"{quote(sample_id, safe='')}.npz"


def write_sample(folder: Path, sample: Sample) -> None:
    """Write a sample into an existing folder, whole or not at all. The same sample gives the same bytes.

    Raises:
        OSError: It cannot be written.
    """
    stream = io.BytesIO()
    arrays: dict[str, Any] = {
        name: _array(value) for name, value in zip(sample._fields, sample, strict=True) if name != GATES
    }
    for number, gate in enumerate(getattr(sample, GATES, ())):
        arrays |= {f"{GATES}.{number}.{part}": _array(value) for part, value in gate._asdict().items()}
    np.savez_compressed(stream, **arrays)
    write_whole(sample_path(folder, sample.id), stream.getvalue())


def read_sample(path: Path, kind: type[Kind]) -> Kind:
    """Return the sample of this kind that was written.

    Raises:
        ResultError: The file is missing, damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            values: list[Any] = [torch.from_numpy(np.asarray(file[name])) for name in kind._fields[1:] if name != GATES]
            values += [_gates(file)] if GATES in kind._fields else []
            return kind(str(file["id"]), *values)
    except _DAMAGED as error:
        raise ResultError(f"{path} is no {kind.__name__} ({error}); delete it and make it again") from error


def _array(value: Any) -> np.ndarray:
    """Return a tensor or a text as an array."""
    if not isinstance(value, Tensor):
        return np.array(value)
    exact = value.float() if value.dtype == torch.bfloat16 else value  # NumPy has no bfloat16
    return exact.detach().cpu().numpy()


def _gates(file: Any) -> tuple[GateRecord, ...]:
    """Return the gates in an .npz; none if it was written without."""
    records: list[GateRecord] = []
    while f"{GATES}.{len(records)}.name" in file.files:
        parts: dict[str, Any] = {part: file[f"{GATES}.{len(records)}.{part}"] for part in GateRecord._fields}
        values: dict[str, Any] = {
            part: str(value) if value.dtype.kind == "U" else torch.from_numpy(np.asarray(value))
            for part, value in parts.items()
        }
        records.append(GateRecord(**values))
    return tuple(records)


def read_examples(folder: Path) -> list[SavedImage | ExampleCloud]:
    """Return the examples in a cell's folder, ordered by the names of their files; damaged ones are left out."""
    found: list[SavedImage | ExampleCloud] = []
    example: SavedImage | ExampleCloud
    for path in sorted((folder / EXAMPLES).glob("*.npz")):
        is_cloud = _fields(path) == set(ExampleCloud._fields)
        try:
            example = read_sample(path, ExampleCloud) if is_cloud else read_sample(path, SavedImage)
        except ResultError as error:
            log.warning("an example is left out: %s", error)
            continue
        if sample_path(path.parent, example.id) == path:
            found.append(example)
        else:
            log.warning("an example is left out: %s is of another sample, %s", path, example.id)
    return found


def kept_ids(cell: Path) -> set[str]:
    """Return the ids of the examples and of the attacked images in a cell's folder, by the names of their files."""
    return {unquote(path.stem) for folder in (EXAMPLES, IMAGES) for path in (cell / folder).glob("*.npz")}


def read_image(cell: Path, sample_id: str) -> SavedImage | None:
    """Return an image in a cell's folder with a single attempt; None if there is none or it is damaged."""
    for folder in (EXAMPLES, IMAGES):
        path = sample_path(cell / folder, sample_id)
        if not path.exists():
            continue
        try:
            image = read_sample(path, SavedImage)
        except ResultError as error:
            log.warning("an image is left out: %s", error)
            continue
        if image.id == sample_id and image.target.ndim == 0:
            return image
    return None


def _fields(path: Path) -> set[str]:
    """Return the names of the arrays in a file, without reading them; nothing if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return set(file.files)
    except _DAMAGED:
        return set()


def _holds(path: Path, kind: type[NamedTuple], sample_id: str) -> bool:
    """Return whether a file is a whole .npz of this sample with the fields of its kind, without reading them all.

    Raises:
        ResultError: The file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return set(kind._fields) - {GATES} <= set(file.files) and str(file["id"]) == sample_id
    except PermissionError as error:
        raise unreadable(path, error) from error
    except _DAMAGED:
        return False


def colour(class_index: int) -> tuple[int, int, int]:
    """Return the red, green and blue of a class, each 0 to 255."""
    bright = 0.95 if class_index % 2 == 0 else 0.65
    red, green, blue = colorsys.hsv_to_rgb(class_index * _GOLDEN_TURN % 1, 0.75, bright)
    return round(255 * red), round(255 * green), round(255 * blue)


def coloured_ply(name: str, points: Tensor, prediction: Tensor, labels: Tensor, class_names: Sequence[str]) -> bytes:
    """Return an attacked cloud as the content of a .ply, coloured by prediction; comments name the colours.

    Points are (N, 3) in metres; predictions and labels (N,) or (1,) int64.
    """
    places, classes, truth = (value.detach().cpu().numpy() for value in (points, prediction, labels))
    columns = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    vertices = np.zeros(len(places), [*columns, ("prediction", "u2"), ("label", "u2")])
    for axis, coordinate in enumerate("xyz"):
        vertices[coordinate] = places[:, axis]
    present = np.unique(classes).tolist()
    palette = np.zeros((max(present) + 1, 3), np.uint8)
    palette[present] = [colour(index) for index in present]
    for channel, coloured in enumerate(("red", "green", "blue")):
        vertices[coloured] = palette[classes, channel]
    vertices["prediction"], vertices["label"] = classes, truth
    names = {index: class_names[index] if index < len(class_names) else f"class {index}" for index in present}
    comments = [f"prediction {index} {names[index]}: {' '.join(map(str, palette[index]))}" for index in present]
    stream = io.BytesIO()
    element = plyfile.PlyElement.describe(vertices, "vertex")
    plyfile.PlyData([element], byte_order="<", comments=[f"attacked {name}", *comments]).write(stream)
    return stream.getvalue()
