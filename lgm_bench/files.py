"""Files that are written whole or not at all, and where what can be made again is kept."""

import os
from pathlib import Path

CACHE_VARIABLE = "LGM_BENCH_CACHE"
UNFINISHED = ".*.tmp"
"""Pattern of what `write_whole` leaves behind if it is killed."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, also when this is killed.

    Raises:
        OSError: It cannot be written; what was there before is still there.
    """
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


def cache_folder(name: str) -> Path:
    """Return the folder of what is made here once and can be made again; it need not exist.

    That is `$LGM_BENCH_CACHE/<name>`, else `$XDG_CACHE_HOME/lgm-bench/<name>`, else `~/.cache/lgm-bench/<name>`.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser() / name
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lgm-bench" / name
