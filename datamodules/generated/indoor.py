"""Generated rooms in the layouts of ScanNet and S3DIS."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import plyfile

from datamodules.generated.miniature import SEED, Files, Miniature
from datamodules.generated.rooms.room import (
    S3DIS,
    S3DIS_MINI,
    SCANNET,
    SCANNET_MINI,
    Room,
    Style,
    s3dis_room,
    scannet_room,
)
from datamodules.s3dis import S3DISDataModule
from datamodules.s3dis_forms import CLASSES
from datamodules.scannet import NYU_IDS, ScanNetDataModule

TEST_AREA = 5


class Sizes(NamedTuple):
    """Numbers of rooms to train on, held out, and to test on."""

    train: int
    holdout: int
    test: int


class _Rooms(Miniature):
    version = 2
    style: Style
    sizes: Sizes

    @property
    def default_holdout(self) -> int:
        return self.sizes.holdout


class RoomsScanNetDataModule(_Rooms, ScanNetDataModule):
    """Generated rooms with ScanNet's 20 classes: 24 to train on, 4 held out, 8 to test on.

    The kinds of rooms alternate. For arguments see `Miniature`.
    """

    name = "rooms-scannet"
    style = SCANNET
    sizes = Sizes(train=24, holdout=4, test=8)

    def files(self, part: str) -> Files:
        """Generate `scans/SCENE/...` and the split list of a part."""
        ids = [f"scene{number:04d}_00" for number in range(sum(self.sizes))]
        chosen = ids[-self.sizes.test :] if part == "test" else ids[: -self.sizes.test]
        for number, (scene_id, kind) in enumerate(zip(ids, itertools.cycle(self.style.plans), strict=False)):
            if scene_id in chosen:
                yield from scan_files(scannet_room(kind, (SEED, number), self.style), scene_id)
        yield split_list(part, chosen)


class ScanNetMiniDataModule(RoomsScanNetDataModule):
    """Corners of rooms, a few square metres and some thousand points each: 48 to train on, 6 held out, 6 to test on.

    They contain 11 of the 20 classes: those of objects that stand on the floor.
    """

    name = "scannet-mini"
    style = SCANNET_MINI
    sizes = Sizes(train=48, holdout=6, test=6)


class RoomsS3DISDataModule(_Rooms, S3DISDataModule):
    """Generated rooms with S3DIS's 13 classes: 24 to train on, 4 held out, 8 in area 5 to test on.

    The rooms of area 6 are held out, equally many of each kind. For arguments see `Miniature`.
    """

    name = "rooms-s3dis"
    style = S3DIS
    sizes = Sizes(train=24, holdout=4, test=8)

    def files(self, part: str) -> Files:
        """Generate `Stanford3dDataset_v1.2_Aligned_Version/Area_N/ROOM/...`: area 5 for "test", else the others."""
        for number, (area, kind, place) in enumerate(self._rooms_by_area()):
            if (area == TEST_AREA) == (part == "test"):
                folder = f"Stanford3dDataset_v1.2_Aligned_Version/Area_{area}/{kind}_{place}"
                yield from room_files(s3dis_room(kind, (SEED, number), self.style), folder)

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's rooms after writing them if necessary."""
        self._rooms = None  # the reader's list may be older than these files
        return super().list_ids(subset)

    def _rooms_by_area(self) -> Iterator[tuple[int, str, int]]:
        """Yield area, kind and number of every room: areas 1 to 4 to train on, area 6 held out, area 5 to test on."""
        kinds = itertools.cycle(self.style.plans)
        quarter = self.sizes.train // 4
        areas = [(1, quarter), (2, quarter), (3, quarter), (4, quarter), (6, self.sizes.holdout)]
        for area, n in [*areas, (TEST_AREA, self.sizes.test)]:
            numbers: Counter[str] = Counter()
            for kind in itertools.islice(kinds, n):
                numbers[kind] += 1
                yield area, kind, numbers[kind]


class S3DISMiniDataModule(RoomsS3DISDataModule):
    """Rooms of a few square metres and some thousand points each: 48 to train on, 6 held out, 6 to test on.

    They contain all classes except boards.
    """

    name = "s3dis-mini"
    style = S3DIS_MINI
    sizes = Sizes(train=48, holdout=6, test=6)


CLASS_OF_KIND = {"bookshelf": "bookcase", "desk": "table"} | {name: name for name in CLASSES}
"""S3DIS class of each kind of generated object; all other kinds are clutter."""


def room_files(room: Room, folder: str) -> Files:
    """Yield a room's `Annotations/CLASS_K.txt` and `ROOM.txt` with lines "x y z r g b", in metres and 0..255.

    Args:
        room: The room.
        folder: The room's folder, ".../Area_N/ROOM".
    """
    values = np.concatenate([room.points, room.colours], 1)
    numbers: Counter[str] = Counter()
    texts = []
    for place, kind in enumerate(room.kinds):
        rows = values[room.objects == place]
        if not len(rows):
            continue
        name = CLASS_OF_KIND.get(kind, "clutter")
        numbers[name] += 1
        texts.append("%.3f %.3f %.3f %d %d %d\n" * len(rows) % tuple(rows.ravel()))
        yield f"{folder}/Annotations/{name}_{numbers[name]}.txt", texts[-1].encode("ascii")
    yield f"{folder}/{folder.rpartition('/')[2]}.txt", "".join(texts).encode("ascii")


NYU_OF_KIND = {name: number for number, name in NYU_IDS.items()} | {
    "pillow": 18,
    "ceiling": 22,
    "box": 29,
    "board": 30,
    "lamp": 35,
    "beam": 38,
    "column": 38,
    "bin": 39,
    "monitor": 40,
}
"""NYU id of each kind of generated object. As in real scans, some kinds are not classes of the benchmark."""

_VERTEX = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("alpha", "u1")]
_FACE = [("n", "u1"), ("vertex_indices", "<i4", (3,))]


def scan_files(room: Room, scene_id: str) -> Files:
    """Yield `scans/SCENE/SCENE_vh_clean_2.ply` and `scans/SCENE/SCENE_vh_clean_2.labels.ply` of a room.

    Args:
        room: The room.
        scene_id: The scene's name, such as "scene0000_00".
    """
    labelled = np.zeros(len(room.points), [*_VERTEX, ("label", "<u2")])
    # Rounded to tenths of millimetres, so that rounding errors of the machine do not change the files.
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
    """Return a subset's list: the name `scannetv2_train.txt` or `scannetv2_val.txt`, and its content."""
    name = "val" if subset == "test" else subset
    return f"scannetv2_{name}.txt", "".join(f"{scene_id}\n" for scene_id in ids).encode()


def _ply(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Return a .ply file as plyfile would write it, but faster: plyfile writes face by face."""
    elements = [
        plyfile.PlyElement.describe(vertices, "vertex"),
        plyfile.PlyElement.describe(np.empty(len(faces), _FACE[1:]), "face"),
    ]
    header = plyfile.PlyData(elements, byte_order="<").header
    return bytes(header.encode("ascii") + b"\n" + vertices.tobytes() + faces.tobytes())
