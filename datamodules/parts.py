"""Generated data sets on disk: a part of the files at a time, verified whenever it is used, made again when damaged."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from lgm_bench.errors import DataError
from lgm_bench.files import CACHE_VARIABLE, write_whole

LOCK_SECONDS = 300.0

Files = Iterable[tuple[str, bytes]]
"""Files with their contents, each by its path below the data set's folder."""


def ensure_part(root: Path, part: str, make: Callable[[], Files]) -> None:
    """Make sure that all files of a part are below a folder as they were written.

    A list of their SHA-256 sums, `PART.sha256`, is written last; a part without it, or with a file that is another one
    now, is written again.

    Args:
        root: The data set's folder; it need not exist.
        part: Name of the part.
        make: Generates the files; the same ones at every call.

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
        if not path.is_file() or path.read_bytes() != content:  # another run may be reading what is right
            path.write_bytes(content)
        lines.append(f"{_sum(content)}  {name}\n")
    listed = "".join(lines)
    write_whole(sums, f"{_sum(listed.encode())}\n{listed}".encode())  # its own sum comes first


def _sums_of(root: Path, part: str) -> Path:
    return root / f"{part}.sha256"


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
