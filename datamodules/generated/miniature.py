"""Generated data sets on disk: files written when they are first needed, verified at every use, mended when damaged."""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock, Timeout

from datamodules.point_datamodule import PointDataModule
from datamodules.scene import Scene
from lgm_bench.errors import DataError
from lgm_bench.files import CACHE_VARIABLE, cache_folder, write_whole

LOCK_SECONDS = 300.0
SEED = 0
"""Seed of all generated scenes and shapes."""

Files = Iterable[tuple[str, bytes]]
"""Files with their contents, each by its path below the data set's folder."""


class Miniature(PointDataModule):
    """Mixin before a data set's reader: generates the files of its `data_root` in the cache folder.

    There are two parts, "test" and "train". Each is written when its first scene is needed.

    Args:
        data_root: Ignored, since the files are generated; every data set takes one.
        options: Those of the reader. `seed` is that of training, not of the generated files.

    Attributes:
        version: Raised whenever the same seed gives other files, so that folders of the old ones are not read.
    """

    version: ClassVar[int] = 1

    def __init__(self, data_root: Path | str | None = None, **options: Any) -> None:  # noqa: ARG002
        super().__init__(cache_folder(f"{self.name}-seed{SEED}-v{self.version}"), **options)

    @abstractmethod
    def files(self, part: str) -> Files:
        """Generate the files of "test" or "train", by their paths below `data_root`."""

    def prepare_data(self) -> None:
        """Write the subset's files, in one process, where they are missing or damaged.

        Raises:
            DataError: They cannot be written, or another run keeps their folder locked.
        """
        self._ensure(self.subset)

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset; its files are written first if need be.

        Raises:
            DataError: They cannot be written.
        """
        self._ensure(subset)
        return super().list_ids(subset)  # type: ignore[safe-super]  # the reader's, which is next in line

    def scene(self, scene_id: str) -> Scene:
        """Return a scene or shape, checked.

        Raises:
            DataError: Its files have been damaged since they were listed.
        """
        try:
            return super().scene(scene_id)
        except DataError as error:
            raise DataError(f"{error} Or run this again: damaged files are generated again.") from error

    def _ensure(self, subset: str) -> None:
        part = "test" if subset == "test" else "train"
        ensure_part(self.data_root, part, lambda: self.files(part))


def ensure_part(root: Path, part: str, make: Callable[[], Files]) -> None:
    """Make sure that all files of a part are in a folder as they were generated.

    `PART.sha256` lists their SHA-256 sums and is written last. A part without this list, or with a file that differs
    from it, is written again.

    Args:
        root: The data set's folder; it need not exist.
        part: Name of the part.
        make: Generates the files, the same ones at every call.

    Raises:
        DataError: They cannot be written, or another run keeps the folder locked.
    """
    if is_whole(root, part):
        return
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_name(f".{root.name}.lock"), timeout=LOCK_SECONDS):
            if not is_whole(root, part):
                _write(root, part, make())
    except Timeout as error:
        raise DataError(
            f"{root} is locked by another run for more than {LOCK_SECONDS:.0f} s; wait for it to finish"
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot write generated data to {root}: {error.strerror or error}; free some space, or set "
            f"{CACHE_VARIABLE} to a folder that can be written"
        ) from error


def is_whole(root: Path, part: str) -> bool:
    """Return whether a part has been written and none of its files has changed since."""
    try:
        own, _, listed = _sums_of(root, part).read_text(encoding="utf-8").partition("\n")
        known = [line.split("  ", 1) for line in listed.splitlines()]
        return own == _sum(listed.encode()) and all(_sum((root / name).read_bytes()) == right for right, name in known)
    except (OSError, ValueError):
        return False


def _write(root: Path, part: str, files: Files) -> None:
    sums = _sums_of(root, part)
    sums.unlink(missing_ok=True)
    lines = []
    for name, content in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != content:  # an intact file may be being read by another run
            path.write_bytes(content)
        lines.append(f"{_sum(content)}  {name}\n")
    listed = "".join(lines)
    write_whole(sums, f"{_sum(listed.encode())}\n{listed}".encode())  # the list's own sum is its first line


def _sums_of(root: Path, part: str) -> Path:
    return root / f"{part}.sha256"


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
