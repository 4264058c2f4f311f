"""Generated rooms as S3DIS's files: a text file an object, and one of the whole room."""

from collections import Counter
from pathlib import Path

import numpy as np

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


def write_room(room: Room, folder: Path) -> None:
    """Write a room as `ROOM/Annotations/CLASS_K.txt` and `ROOM/ROOM.txt`, "x y z r g b" a line, in metres and 0..255.

    Args:
        room: What to write.
        folder: The folder of the room, `Area_N/ROOM`.

    Raises:
        OSError: It cannot be written.
    """
    annotations = folder / "Annotations"
    annotations.mkdir(parents=True)
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
        (annotations / f"{name}_{numbers[name]}.txt").write_text(texts[-1], encoding="ascii")
    (folder / f"{folder.name}.txt").write_text("".join(texts), encoding="ascii")
