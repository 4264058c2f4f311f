"""Generated rooms as ScanNet's files: a mesh with colours, and the same mesh with labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.optional import require_library
from datamodules.rooms.room import Room

NYU_OF_KIND = {
    "wall": 1,
    "floor": 2,
    "cabinet": 3,
    "bed": 4,
    "chair": 5,
    "sofa": 6,
    "table": 7,
    "door": 8,
    "window": 9,
    "bookshelf": 10,
    "picture": 11,
    "counter": 12,
    "desk": 14,
    "curtain": 16,
    "pillow": 18,
    "ceiling": 22,
    "refrigerator": 24,
    "shower curtain": 28,
    "box": 29,
    "board": 30,
    "toilet": 33,
    "sink": 34,
    "lamp": 35,
    "bathtub": 36,
    "bin": 39,
    "monitor": 40,
    "beam": 38,
    "column": 38,
}
"""NYU's ids of generated objects; some of them are of no class of the benchmark, as in the real scans."""

_VERTEX = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("alpha", "u1")]
_FACE = [("n", "u1"), ("vertex_indices", "<i4", (3,))]


def write_scan(room: Room, scene_id: str, scans: Path) -> None:
    """Write a room as `SCENE/SCENE_vh_clean_2.ply` and `SCENE/SCENE_vh_clean_2.labels.ply`.

    Args:
        room: What to write.
        scene_id: "scene0000_00".
        scans: The folder `scans`.

    Raises:
        OSError: It cannot be written.
    """
    folder = scans / scene_id
    folder.mkdir(parents=True)
    labelled = np.zeros(len(room.points), [*_VERTEX, ("label", "<u2")])
    # To tenths of millimetres, so that another machine's sine changes no file.
    labelled["x"], labelled["y"], labelled["z"] = np.round(room.points, 4).T
    labelled["red"], labelled["green"], labelled["blue"] = room.colours.T
    labelled["alpha"] = 255
    labelled["label"] = np.array([NYU_OF_KIND[kind] for kind in room.kinds])[room.objects]
    plain = np.empty(len(labelled), _VERTEX)
    for name, _ in _VERTEX:
        plain[name] = labelled[name]
    faces = np.empty(len(room.triangles), _FACE)
    faces["n"], faces["vertex_indices"] = 3, room.triangles
    _write(plain, faces, folder / f"{scene_id}_vh_clean_2.ply")
    _write(labelled, faces, folder / f"{scene_id}_vh_clean_2.labels.ply")


def write_lists(train: Sequence[str], val: Sequence[str], folder: Path) -> None:
    """Write the split lists `scannetv2_train.txt` and `scannetv2_val.txt`."""
    for name, ids in (("train", train), ("val", val)):
        (folder / f"scannetv2_{name}.txt").write_text("".join(f"{scene_id}\n" for scene_id in ids), encoding="utf-8")


def _write(vertices: np.ndarray, faces: np.ndarray, path: Path) -> None:
    """Write what plyfile would; its header, but the faces at once and not one by one."""
    plyfile: Any = require_library("plyfile", "writing .ply files")
    elements = [
        plyfile.PlyElement.describe(vertices, "vertex"),
        plyfile.PlyElement.describe(np.empty(len(faces), _FACE[1:]), "face"),
    ]
    header = plyfile.PlyData(elements, byte_order="<").header
    path.write_bytes(header.encode("ascii") + b"\n" + vertices.tobytes() + faces.tobytes())
