"""A faster form of scenes, kept beside the data: `lgm-bench data prepare` makes it, reading never needs it."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.scene import Scene
from lgm_bench.errors import DataError
from lgm_bench.files import write_whole

FOLDER = ".lgm-bench-cache"
FORMAT = 1
"""Raised whenever what readers make of the same files changes, so that older forms are not read."""


def prepared_path(root: Path, scene_id: str) -> Path:
    """Return where the prepared form of a scene lies; it need not exist."""
    return root / FOLDER / f"{scene_id}.npz"


def load_prepared(root: Path, scene_id: str, sources: Sequence[Path]) -> Scene | None:
    """Return the prepared form of a scene, or None where there is none that can be used.

    Args:
        root: The data set's folder.
        scene_id: The scene.
        sources: The files that it was made from; if one has changed since (size or time), the form is not used.
    """
    path = prepared_path(root, scene_id)
    if not sources or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not np.array_equal(arrays["stamp"], _stamp(root, sources)):
                return None
            return Scene(arrays["points"], arrays["features"], arrays["labels"].astype(np.int64))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # damaged: the official files are there to be read


def save_prepared(root: Path, scene_id: str, sources: Sequence[Path], scene: Scene) -> None:
    """Write the prepared form of a scene, whole or not at all.

    Raises:
        DataError: It cannot be written.
    """
    path = prepared_path(root, scene_id)
    content = io.BytesIO()
    labels = scene.labels.astype(np.uint8)  # class indices and `IGNORED` are below 256
    stamp = _stamp(root, sources)
    np.savez(content, points=scene.points, features=scene.features, labels=labels, stamp=stamp)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror or error}. The data can be used without being prepared; to prepare "
            "it, make its folder writable and free some space."
        ) from error


def _stamp(root: Path, sources: Sequence[Path]) -> np.ndarray:
    """Return what tells whether the files are the same: their places, sizes and times of change."""
    state = [(path.relative_to(root).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    return np.array(repr((FORMAT, state)))
