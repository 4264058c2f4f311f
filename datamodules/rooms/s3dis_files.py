"""Generated rooms as S3DIS's files: a text file an object, and one of the whole room."""

from collections import Counter

import numpy as np

from datamodules.parts import Files
from datamodules.rooms.room import Room

CLASS_OF_KIND = {
    "beam": "beam",
    "board": "board",
    "bookshelf": "bookcase",
    "ceiling": "ceiling",
    "chair": "chair",
    "column": "column",
    "desk": "table",
    "door": "door",
    "floor": "floor",
    "sofa": "sofa",
    "table": "table",
    "wall": "wall",
    "window": "window",
}
"""Annotated classes of generated objects; all others are clutter."""


def room_files(room: Room, folder: str) -> Files:
    """Yield a room's `Annotations/CLASS_K.txt` and `ROOM.txt`, "x y z r g b" a line, in metres and 0..255.

    Args:
        room: What they show.
        folder: The folder of the room, ".../Area_N/ROOM".
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
