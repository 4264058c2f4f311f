"""Generated data sets: files that are written when first needed, verified at every use, and rewritten if damaged."""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from filelock import FileLock, Timeout

from datamodules.point_datamodule import PointDataModule
from datamodules.scene import Scene
from lgm_bench.errors import DataError
from lgm_bench.files import CACHE_VARIABLE, cache_folder, write_whole

LOCK_SECONDS = 300.0
SEED = 0
"""Seed of all generated scenes and shapes."""

Files = Iterable[tuple[str, bytes]]
"""Pairs of a path below the data set's folder and the content of that file."""


class Miniature(PointDataModule):
    """Mixin before a data set's reader, whose files it generates in the cache folder.

    There are two parts, "test" and "train". Each is written when its first scene is needed.

    The arguments are those of the reader. `data_root` is ignored, since the files are generated, and `seed` affects
    only training, not the generated files.

    Attributes:
        version: To be incremented whenever the generated files change, so that old folders are not read.
    """

    version: ClassVar[int] = 1

    def folder(self, data_root: Path | str | None) -> Path:  # noqa: ARG002
        return cache_folder(f"{self.name}-seed{SEED}-v{self.version}")

    @abstractmethod
    def files(self, part: str) -> Files:
        """Generate the files of the part "test" or "train"."""

    def prepare_data(self) -> None:
        """Write the subset's files if any is missing or damaged; Lightning calls this in one process.

        Raises:
            DataError: They cannot be written, or another run has locked their folder.
        """
        self._ensure(self.subset)

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset after writing its files if necessary.

        Raises:
            DataError: The files cannot be written.
        """
        self._ensure(subset)
        return super().list_ids(subset)  # type: ignore[safe-super]  # the reader's method

    def scene(self, scene_id: str) -> Scene:
        try:
            return super().scene(scene_id)
        except DataError as error:
            raise DataError(f"{error} Or repeat this command: damaged files are then generated again.") from error

    def _ensure(self, subset: str) -> None:
        part = "test" if subset == "test" else "train"
        ensure_part(self.data_root, part, lambda: self.files(part))


def ensure_part(root: Path, part: str, make: Callable[[], Files]) -> None:
    """Write the files of a part unless all of them exist and are intact.

    `PART.sha256` lists their sha256 and is written last. A part without this list, or with a file that differs from it,
    is written again.

    Args:
        root: The data set's folder; it need not exist.
        part: Name of the part.
        make: Generates the files; every call must generate the same ones.

    Raises:
        DataError: They cannot be written, or another run has locked the folder.
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
            f"another run has locked {root} for more than {LOCK_SECONDS:.0f} s; wait for it to finish"
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot write generated data to {root}: {error.strerror or error}; free some space, or set "
            f"{CACHE_VARIABLE} to a writable folder"
        ) from error


def is_whole(root: Path, part: str) -> bool:
    """Return whether a part is complete and none of its files has changed since it was written."""
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
        if not path.is_file() or path.read_bytes() != content:  # another run may be reading an intact file
            path.write_bytes(content)
        lines.append(f"{_sum(content)}  {name}\n")
    listed = "".join(lines)
    write_whole(sums, f"{_sum(listed.encode())}\n{listed}".encode())  # the first line is the sha256 of the list itself


def _sums_of(root: Path, part: str) -> Path:
    return root / f"{part}.sha256"


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
