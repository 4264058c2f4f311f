"""Generated rooms as ScanNet's files: a mesh with colours, and the same mesh with labels."""

from collections.abc import Sequence

import numpy as np
import plyfile

from datamodules.parts import Files
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


def scan_files(room: Room, scene_id: str) -> Files:
    """Yield a room's `scans/SCENE/SCENE_vh_clean_2.ply` and `scans/SCENE/SCENE_vh_clean_2.labels.ply`.

    Args:
        room: What they show.
        scene_id: "scene0000_00".
    """
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
    stem = f"scans/{scene_id}/{scene_id}_vh_clean_2"
    yield f"{stem}.ply", _ply(plain, faces)
    yield f"{stem}.labels.ply", _ply(labelled, faces)


def split_list(subset: str, ids: Sequence[str]) -> tuple[str, bytes]:
    """Return a subset's list, `scannetv2_train.txt` or `scannetv2_val.txt`."""
    name = "val" if subset == "test" else subset
    return f"scannetv2_{name}.txt", "".join(f"{scene_id}\n" for scene_id in ids).encode()


def _ply(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Return what plyfile would write; its header, but the faces at once and not one by one."""
    elements = [
        plyfile.PlyElement.describe(vertices, "vertex"),
        plyfile.PlyElement.describe(np.empty(len(faces), _FACE[1:]), "face"),
    ]
    header = plyfile.PlyData(elements, byte_order="<").header
    return bytes(header.encode("ascii") + b"\n" + vertices.tobytes() + faces.tobytes())
