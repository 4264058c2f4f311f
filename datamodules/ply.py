"""Reading the vertices of .ply files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plyfile

from datamodules.scene import AGAIN, require_colours
from lgm_bench.errors import DataError

_TRIANGLES = {"face": {"vertex_indices": 3, "vertex_index": 3}}


def read_vertices(
    path: Path, names: Sequence[str], obtain: str = AGAIN, optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return properties of a .ply file's vertices as arrays (N,) of the file's types.

    Args:
        path: The file, binary or text; it may hold faces too.
        names: Properties that it must have: "x", "red", ...
        obtain: How to get the file, the end of the message where it is missing.
        optional: Properties that are returned where it has them.

    Raises:
        DataError: The file is missing, truncated or no .ply file, or it has no vertices with these properties.
    """
    try:
        vertices = _read(path)["vertex"].data
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}. {obtain}") from error
    except KeyError as error:
        raise DataError(f"{path} has no vertices. {AGAIN}") from error
    except (plyfile.PlyParseError, ValueError) as error:  # ValueError: a damaged header
        raise DataError(f"{path} is truncated, damaged or no .ply file: {error}. {AGAIN}") from error
    missing = [name for name in names if name not in vertices.dtype.names]
    if missing:
        raise DataError(f"the vertices of {path} have no {', '.join(missing)}. {AGAIN}")
    there = [name for name in optional if name in vertices.dtype.names]
    return {name: np.array(vertices[name]) for name in (*names, *there)}


def points_and_colours(vertices: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, 3) float32 as they are, and colours (N, 3) float32 of 0..255 as [0, 1].

    Raises:
        DataError: A colour of the file `path` is out of range.
    """
    points = np.stack([vertices[name].astype(np.float32) for name in "xyz"], 1)
    colours = np.stack([vertices[name].astype(np.float32) for name in ("red", "green", "blue")], 1)
    require_colours(colours, path)
    return points, colours / np.float32(255)


def _read(path: Path) -> Any:
    try:  # thirty times as fast if all faces are triangles
        return plyfile.PlyData.read(str(path), known_list_len=_TRIANGLES)
    except (plyfile.PlyParseError, ValueError):
        return plyfile.PlyData.read(str(path))
