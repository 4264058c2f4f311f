"""Where data sets lie on disk."""

import os
from pathlib import Path

ENVIRONMENT_VARIABLE = "LGM_BENCH_DATA"


def data_folder(name: str, data_root: Path | str | None = None) -> Path:
    """Return the folder of a data set; it need not exist.

    Args:
        name: The data set's name, which is also its folder's.
        data_root: The data set's own folder. None: `$LGM_BENCH_DATA/<name>` where that is set, else `./data/<name>`.
    """
    if data_root is not None:
        return Path(data_root).expanduser()
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or "data").expanduser() / name


def how_to_choose(name: str) -> str:
    """Return the sentence that ends an error about missing data: how to say where a data set lies."""
    return (
        f"To use another folder, pass data_root (--data-root), or set {ENVIRONMENT_VARIABLE} to the parent of {name!r}."
    )
