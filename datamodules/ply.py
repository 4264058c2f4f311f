"""Reads the vertices of .ply files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plyfile

from datamodules.location import regular_file
from datamodules.scene import AGAIN, require_colours
from lgm_bench.errors import DataError

_TRIANGLES = {"face": {"vertex_indices": 3, "vertex_index": 3}}


def read_vertices(
    path: Path, names: Sequence[str], obtain: str = AGAIN, optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return properties of a .ply file's vertices as arrays (N,) of the file's types.

    Args:
        path: The file, binary or text; it may also contain faces.
        names: Required properties, such as "x" or "red".
        obtain: How to get the file; the end of the message if it is missing.
        optional: Properties that are returned only if the file has them.

    Raises:
        DataError: The file is missing, truncated or not a .ply file, or its vertices lack a required property.
    """
    try:
        vertices = _read(path)["vertex"].data
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}. {obtain}") from error
    except KeyError as error:
        raise DataError(f"{path} has no vertices. {AGAIN}") from error
    except (plyfile.PlyParseError, ValueError, OverflowError, MemoryError) as error:  # a damaged header
        raise DataError(f"{path} is truncated, damaged or no .ply file: {error}. {AGAIN}") from error
    missing = [name for name in names if name not in vertices.dtype.names]
    if missing:
        raise DataError(f"the vertices of {path} have no {', '.join(missing)}. {AGAIN}")
    present = [name for name in optional if name in vertices.dtype.names]
    return {name: np.array(vertices[name]) for name in (*names, *present)}


def points_and_colours(vertices: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, 3) float32 unchanged, and colours (N, 3) float32 scaled from 0..255 to [0, 1].

    Raises:
        DataError: A colour is out of range; the message names the file `path`.
    """
    points = np.stack([vertices[name].astype(np.float32) for name in "xyz"], 1)
    colours = np.stack([vertices[name].astype(np.float32) for name in ("red", "green", "blue")], 1)
    require_colours(colours, path)
    return points, colours / np.float32(255)


def _read(path: Path) -> Any:
    regular_file(path)
    try:  # thirty times faster, but only if all faces are triangles
        return plyfile.PlyData.read(str(path), known_list_len=_TRIANGLES)
    except (plyfile.PlyParseError, ValueError):
        return plyfile.PlyData.read(str(path))
