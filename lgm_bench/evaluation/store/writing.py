"""What may happen to files in a results folder: a full disk, missing permissions, files that are no use."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lgm_bench.errors import ResultError
from lgm_bench.files import is_named_pipe

log = logging.getLogger(__name__)

UNUSABLE = ".unusable"


class CannotWriteError(ResultError):
    """The results folder takes no more files: the disk is full, or it may not be written to."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system raises in the block into a CannotWriteError that names `path`."""
    try:
        yield
    except OSError as error:
        raise CannotWriteError(
            f"cannot write {path}: {error.strerror or error}; finished batches are kept: free some space or "
            "correct the permissions and run again, or choose another results folder (--out)"
        ) from error


def content_of(path: Path) -> bytes | None:
    """Return what a file holds; None if there is none.

    Raises:
        ResultError: It may not be read, which is no reason to compute its content again, or it is a named pipe.
    """
    if is_named_pipe(path):
        raise ResultError(f"{path} is a named pipe; delete it")
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> ResultError:
    """Return the error for a file that may not be read."""
    return ResultError(f"cannot read {path}: {error.strerror or error}; correct its permissions")


def set_aside(path: Path, reason: str) -> None:
    """Rename a file that cannot be used, and say so in the log.

    Raises:
        CannotWriteError: It cannot be renamed.
    """
    log.warning("%s is not used: %s; it is now called %s", path, reason, path.name + UNUSABLE)
    with writing(path):
        path.replace(path.with_name(path.name + UNUSABLE))
