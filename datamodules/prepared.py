"""Copies of scenes that are fast to read, stored beside the data by `lgm-bench data prepare`. They are optional."""

import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from datamodules.content import file_hashes
from datamodules.scene import Scene
from lgm_bench.errors import ConfigError, DataError
from lgm_bench.files import write_whole

if TYPE_CHECKING:
    from datamodules.point_datamodule import PointDataModule

_log = logging.getLogger(__name__)

FOLDER = ".lgm-bench-cache"
FORMAT = 2
"""To be incremented when a reader returns something else for the same files; older copies are then not used."""


class Prepared:
    """The prepared copies of a data set's scenes.

    Args:
        root: The data set's folder.
        options: The options that the scenes depend on.
    """

    def __init__(self, root: Path, options: str = "") -> None:
        self.root, self.options = root, options

    def path(self, scene_id: str) -> Path:
        """Return the path of a scene's copy; it need not exist."""
        return self.root / FOLDER / f"{scene_id}.npz"

    def load(self, scene_id: str, sources: Sequence[Path]) -> Scene | None:
        """Return a scene from its copy; None if that is missing, damaged, or older than the scene's files.

        Changes are detected by the files' sizes and times, and by their sha256 if it was computed, as evaluations do.
        """
        path = self.path(scene_id)
        if not sources or not path.is_file():
            return None
        stamp = self._stamp(sources)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if str(arrays["stamp"]) != stamp or not self._may_hold(sources, arrays["sha256"].tolist()):
                    return None
                return Scene(arrays["points"], arrays["features"], arrays["labels"].astype(np.int64))
        except Exception:  # a damaged archive can raise anything
            _log.info("%s is damaged; the original files are read instead", path, exc_info=True)
            return None

    def save(self, scene_id: str, sources: Sequence[Path], read: Callable[[str], Scene]) -> None:
        """Read a scene and write its copy, completely or not at all.

        Raises:
            DataError: The scene cannot be read, or its copy cannot be written.
        """
        path = self.path(scene_id)
        stamp = self._stamp(sources)  # before reading: if a file changes meanwhile, the copy counts as outdated
        sha256 = [file_hashes(self.root).of(source) for source in sources]
        scene = read(scene_id)
        content = io.BytesIO()
        labels = scene.labels.astype(np.uint8)  # class indices and `IGNORED` are below 256
        about = {"stamp": np.array(stamp), "sha256": np.array(sha256)}
        np.savez(content, points=scene.points, features=scene.features, labels=labels, **about)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content.getvalue())
        except OSError as error:
            raise DataError(
                f"cannot write {path}: {error.strerror or error}. The data can be used unprepared. To prepare it, make "
                "its folder writable and free some space."
            ) from error

    def _may_hold(self, sources: Sequence[Path], sha256: Sequence[str]) -> bool:
        """Return False if the known sha256 of any file differs from these."""
        known = map(file_hashes(self.root).known, sources)
        return all(current in (None, old) for current, old in zip(known, sha256, strict=True))

    def _stamp(self, sources: Sequence[Path]) -> str:
        """Return the files' paths, sizes and modification times as a text that changes when they change."""
        try:
            states = [(path.relative_to(self.root).as_posix(), path.stat()) for path in sources]
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
        return repr((FORMAT, self.options, [(name, state.st_size, state.st_mtime_ns) for name, state in states]))


class Outcome(NamedTuple):
    """Numbers of a data set's scenes by what was done with them.

    Attributes:
        written: Scenes that were prepared now.
        kept: Scenes that had been prepared before.
        fast: Scenes that are fast to read without preparation.
        absent: The subsets whose scenes cannot be listed, each with the reason.
    """

    written: int
    kept: int
    fast: int
    absent: tuple[tuple[str, str], ...] = ()


def prepare(data: "PointDataModule", progress: Callable[[int, int], None] | None = None) -> Outcome:
    """Prepare all scenes of the subsets on disk that are not prepared yet.

    Args:
        data: The data set.
        progress: Called after every scene with the number of scenes done and the number of all scenes.

    Raises:
        DataError: There are no scenes, a scene cannot be read or used, or a copy cannot be written.
    """
    ids, absent = _ids_on_disk(data)
    written = kept = fast = 0
    for done, scene_id in enumerate(ids, start=1):
        sources = data.sources(scene_id)
        if not data.prepares or not sources:
            fast += 1
        elif data.prepared.load(scene_id, sources) is not None:
            kept += 1
        else:
            data.prepared.save(scene_id, sources, data.official_scene)
            written += 1
        if progress:
            progress(done, len(ids))
    file_hashes(data.data_root).keep()
    return Outcome(written, kept, fast, absent)


def _ids_on_disk(data: "PointDataModule") -> tuple[list[str], tuple[tuple[str, str], ...]]:
    ids: dict[str, None] = {}
    absent: list[tuple[str, DataError | ConfigError]] = []
    for subset in data.subsets:
        try:
            ids |= dict.fromkeys(data.ids_of(subset))
        except (DataError, ConfigError) as error:  # attacks do not need training scenes
            absent.append((subset, error))
    if not ids:
        raise absent[0][1]
    missing = ((subset, str(error)) for subset, error in absent if subset != "holdout")  # part of "train"
    return list(ids), tuple(missing)
