"""An object of a room: its parts with colours, in its own frame."""

from collections.abc import Sequence
from typing import NamedTuple

from datamodules.rooms.surfaces import Array, Surface


class Part(NamedTuple):
    """Surfaces of one colour and texture."""

    surfaces: Sequence[Surface]
    colour: Array
    texture: str = "plain"


class Item(NamedTuple):
    """An object: x to its right, y to its back, z up, in metres; the origin on the floor, amid its footprint.

    Attributes:
        kind: What it is, a key of the writers' tables of labels.
        parts: What it is made of.
        width: Extent of its footprint along x.
        depth: Extent of its footprint along y.
        height: Of its highest point.
    """

    kind: str
    parts: Sequence[Part]
    width: float
    depth: float
    height: float
