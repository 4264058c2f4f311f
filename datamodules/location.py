"""Where data sets lie on disk, and finding their files."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from lgm_bench.errors import DataError
from lgm_bench.files import expanded

ENVIRONMENT_VARIABLE = "LGM_BENCH_DATA"
THINNED = "-1cm"
"""Ending of the name of a data set that is another one with fewer points; both lie in one folder."""


def data_folder(name: str, data_root: Path | str | None = None) -> Path:
    """Return the folder of a data set; it need not exist.

    Args:
        name: The data set's name.
        data_root: The data set's own folder, or a folder that contains it under its name. None:
            `$LGM_BENCH_DATA/<name>` if the variable is set, else `./data/<name>`.

    >>> data_folder("cifar10", "/data/cifar").as_posix()
    '/data/cifar'
    """
    name = name.removesuffix(THINNED)
    if data_root is None:
        return expanded(os.environ.get(ENVIRONMENT_VARIABLE) or "data") / name
    root = expanded(data_root)
    try:
        return root / name if (root / name).is_dir() else root
    except OSError:  # unreadable; whoever reads the data set reports it
        return root


def how_to_choose(name: str) -> str:
    """Return the last sentence of an error about missing data: how to choose the data set's folder."""
    return (
        f"If it lies elsewhere, name its folder (--data-root), or set {ENVIRONMENT_VARIABLE} to the folder that holds "
        f"{name.removesuffix(THINNED)!r}."
    )


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn any OSError inside the block into a DataError that names the file.

    Args:
        name: The data set's name.
    """
    try:
        yield
    except OSError as error:
        what = error.filename or f"the data set {name}"
        raise DataError(f"cannot read {what}: {error.strerror or error}. {how_to_choose(name)}") from error


def matching(folder: Path, pattern: str) -> list[Path]:
    """Return the paths below a folder that match a pattern such as "Area_*/*.ply", sorted; hidden ones are left out.

    Raises:
        OSError: A folder cannot be listed (`Path.glob` would silently leave it out).
    """
    paths = [folder]
    for part in pattern.split("/"):
        paths = [entry for path in paths for entry in _entries(path) if fnmatchcase(entry.name, part)]
    return sorted(paths)


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def regular_file(path: Path) -> Path:
    """Return the path of a file that can be read without waiting, unlike that of a named pipe or a device.

    Raises:
        OSError: It is missing, or something else than a regular file.
    """
    path.stat()
    if not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return path
