"""Where data sets lie on disk."""

import os
from pathlib import Path

from lgm_bench.files import expanded

ENVIRONMENT_VARIABLE = "LGM_BENCH_DATA"


def data_folder(name: str, data_root: Path | str | None = None) -> Path:
    """Return the folder of a data set; it need not exist.

    Args:
        name: The data set's name.
        data_root: The data set's own folder, or one in which it lies under its name. None: `$LGM_BENCH_DATA/<name>`
            where that is set, else `./data/<name>`.

    >>> data_folder("cifar10", "/data/cifar").as_posix()
    '/data/cifar'
    """
    if data_root is not None:
        root = expanded(data_root)
        return root / name if (root / name).is_dir() else root
    return expanded(os.environ.get(ENVIRONMENT_VARIABLE) or "data") / name


def how_to_choose(name: str) -> str:
    """Return the last sentence of an error about missing data: how to choose where a data set lies."""
    return (
        f"If it lies elsewhere, pass its folder as data_root (--data-root), "
        f"or set {ENVIRONMENT_VARIABLE} to the folder that holds {name!r}."
    )
