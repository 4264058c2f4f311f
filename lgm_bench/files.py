"""Writing files whole or not at all, and the cache folder."""

import errno
import os
from pathlib import Path

CACHE_VARIABLE = "LGM_BENCH_CACHE"
UNFINISHED = ".*.tmp"
"""Pattern of the files that `write_whole` leaves behind if the process is killed."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that readers see either the old or the new content, even if the process is killed.

    Raises:
        OSError: The file cannot be written; it keeps its old content.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_named_pipe(path: Path) -> bool:
    """Return whether reading a path would wait for a writer. A shell's `<(command)` has a writer and does not count."""
    return path.is_fifo() and not path.is_relative_to("/dev") and not path.is_relative_to("/proc")


def expanded(path: Path | str) -> Path:
    """Return a path with `~` replaced by the home folder; `~name` of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def cache_folder(name: str) -> Path:
    """Return a folder for files that can be generated again; it need not exist.

    It is `$LGM_BENCH_CACHE/<name>`, else `$XDG_CACHE_HOME/lgm-bench/<name>`, else `~/.cache/lgm-bench/<name>`.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return expanded(chosen) / name
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "lgm-bench" / name
