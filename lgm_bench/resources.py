"""Paths of the files that ship with the package, in an installed wheel or in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Return the path of `bench.yaml`, `checkpoints` or another shipped file or folder.

    A wheel carries them under `lgm_bench/_data`; a checkout has them in its root.
    """
    installed = _PACKAGE / "_data" / name
    return installed if installed.exists() else _PACKAGE.parent / name
