"""Fixtures on or in walls: doors, windows, curtains, pictures, boards, beams, columns.

Items use the wall's frame: x along the wall, y = 0 on its surface and positive outside the room, z up from the floor.
"""

from typing import NamedTuple

import numpy as np

from datamodules.generated.rooms.colours import draw
from datamodules.generated.rooms.furniture import METAL, Random
from datamodules.generated.rooms.surfaces import Item, Part, Surface, box, upright


class Fixture(NamedTuple):
    """An item on a wall, and the part of the wall that it covers.

    Attributes:
        item: In the wall's frame, x from -width / 2 to width / 2.
        low: Height of its lower end in metres; its upper end is at the item's height.
        hole: Whether the wall has a hole behind it.
    """

    item: Item
    low: float
    hole: bool = True


def door(rng: Random) -> Fixture:
    """Return a closed door with a frame and a handle, slightly recessed."""
    w, h, back = rng.uniform(0.85, 1.0), rng.uniform(2.0, 2.1), rng.uniform(0.02, 0.06)
    colour = draw(rng, {"wood": 0.5, "white": 0.2, "grey": 0.15, "paint": 0.15})
    frame = _frame(w, 0.0, h, back, 0.06, bottom=False)
    leaf: list[Surface] = [upright((-w / 2 + 0.06, back, 0.01), w - 0.12, h - 0.07)]
    side = rng.choice([-1, 1]) * (w / 2 - 0.14)
    knob = box((side - 0.06, back - 0.06, 1.0), (side + 0.06, back, 1.04), "back")
    trim = colour if rng.uniform() < 0.5 else draw(rng, {"white": 0.6, "grey": 0.4})
    parts = [Part(frame, trim), Part(leaf, colour), Part(knob, draw(rng, METAL))]
    return Fixture(Item("door", parts, w, 0.1, h), 0.0)


def window(rng: Random) -> Fixture:
    """Return a window: frame, mullions and sill around bright, recessed panes."""
    w, low = rng.uniform(0.9, 1.7), rng.uniform(0.85, 1.0)
    high = low + rng.uniform(0.95, 1.2)
    back, trim = rng.uniform(0.08, 0.14), draw(rng, {"white": 0.6, "wood": 0.25, "grey": 0.15})
    frame = _frame(w, low, high, back, 0.07, bottom=True)
    frame += box((-w / 2, -0.06, low - 0.04), (w / 2, 0.0, low), "back")
    for x in np.linspace(-w / 2, w / 2, 1 + round(w / 0.55))[1:-1]:
        frame += box((x - 0.03, back - 0.05, low + 0.05), (x + 0.03, back, high - 0.05), "back top bottom")
    panes: list[Surface] = [upright((-w / 2 + 0.07, back, low + 0.07), w - 0.14, high - low - 0.14)]
    glass = draw(rng, {"glass": 0.7, "white": 0.3})
    return Fixture(Item("window", [Part(frame, trim), Part(panes, glass)], w, 0.1, high), low - 0.04)


def curtains(rng: Random, w: float, high: float) -> Fixture:
    """Return a pair of curtains beside a window of width `w` whose upper end is at height `high`."""
    each, low, top = rng.uniform(0.3, 0.45), rng.uniform(0.05, 0.15), high + 0.1
    colour = draw(rng, {"fabric": 0.4, "cream": 0.25, "white": 0.15, "paint": 0.2})
    cloth = [
        upright((x, -0.09, low), each, top - low, None, (0.03, 0.14)) for x in (-w / 2 - each + 0.05, w / 2 - 0.05)
    ]
    rod = box((-w / 2 - each, -0.1, top), (w / 2 + each, -0.07, top + 0.03), "back")
    parts = [Part(cloth, colour, "stripes" if rng.uniform() < 0.2 else "plain"), Part(rod, draw(rng, METAL))]
    return Fixture(Item("curtain", parts, w + 2 * each, 0.14, top + 0.03), low, hole=False)


def picture(rng: Random) -> Fixture:
    """Return a framed picture."""
    w, size = rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.7)
    low = rng.uniform(1.2, 1.35)
    surface = upright((-w / 2 + 0.04, -0.03, low + 0.04), w - 0.08, size - 0.08)
    parts = [Part(_raised(w, low, low + size, 0.035, 0.04), draw(rng, {"wood": 0.4, "dark": 0.35, "white": 0.25}))]
    parts += [Part([surface], draw(rng, {"vivid": 0.5, "fabric": 0.5}), "painting")]
    return Fixture(Item("picture", parts, w, 0.05, low + size), low)


def board(rng: Random) -> Fixture:
    """Return a whiteboard or, less often, a blackboard, with a tray."""
    w, low = rng.uniform(1.4, 2.4), rng.uniform(0.85, 1.0)
    high = low + rng.uniform(1.0, 1.2)
    colour = draw(rng, {"white": 0.8, "paint": 0.1, "dark": 0.1})
    surface = upright((-w / 2 + 0.04, -0.03, low + 0.04), w - 0.08, high - low - 0.08)
    rim = _raised(w, low, high, 0.04, 0.04) + box((-w / 3, -0.1, low - 0.02), (w / 3, -0.03, low + 0.01), "back")
    return Fixture(Item("board", [Part(rim, draw(rng, METAL)), Part([surface], colour)], w, 0.1, high), low - 0.02)


def beam(rng: Random, length: float, ceiling: float) -> Fixture:
    """Return a beam below the ceiling, along a wall of a given length."""
    w, drop = rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.45)
    colour = draw(rng, {"white": 0.4, "cream": 0.3, "grey": 0.3})
    sides = box((-length / 2, -w, ceiling - drop), (length / 2, 0, ceiling), "top back left right")
    return Fixture(Item("beam", [Part(sides, colour)], length, w, ceiling), ceiling - drop)


def column(rng: Random, ceiling: float) -> Item:
    """Return a column from floor to ceiling."""
    w, d = rng.uniform(0.35, 0.6, 2)
    colour = draw(rng, {"white": 0.35, "cream": 0.25, "grey": 0.4})
    return Item(
        "column", [Part(box((-w / 2, -d / 2, 0), (w / 2, d / 2, ceiling), "top bottom"), colour)], w, d, ceiling
    )


def wall_cabinet(rng: Random, w: float) -> Fixture:
    """Return a cabinet that hangs on the wall, as above a kitchen counter."""
    d, low, high = rng.uniform(0.3, 0.36), rng.uniform(1.35, 1.45), rng.uniform(1.95, 2.1)
    colour = draw(rng, {"wood": 0.4, "white": 0.3, "cream": 0.15, "grey": 0.15})
    body = box((-w / 2, -d + 0.015, low), (w / 2, 0, high), "back")
    doors = max(2, round(w / 0.45))
    each = w / doors
    fronts: list[Surface] = [
        upright((-w / 2 + place * each + 0.015, -d, low + 0.015), each - 0.03, high - low - 0.03)
        for place in range(doors)
    ]
    tint = np.clip(colour * rng.uniform(0.85, 1.1), 0, 1)
    return Fixture(Item("cabinet", [Part(body, colour), Part(fronts, tint)], w, d, high), low, hole=False)


def _frame(w: float, low: float, high: float, back: float, wide: float, bottom: bool) -> list[Surface]:
    """Return a frame of depth `back` inside the wall, flush with its surface."""
    sides = box((-w / 2, 0, low), (-w / 2 + wide, back, high), "bottom top back left")
    sides += box((w / 2 - wide, 0, low), (w / 2, back, high), "bottom top back right")
    sides += box((-w / 2 + wide, 0, high - wide), (w / 2 - wide, back, high), "left right top back")
    if bottom:
        sides += box((-w / 2 + wide, 0, low), (w / 2 - wide, back, low + wide), "left right bottom back")
    return sides


def _raised(w: float, low: float, high: float, thick: float, wide: float) -> list[Surface]:
    """Return a rim that protrudes from the wall by `thick`."""
    rim = box((-w / 2, -thick, low), (-w / 2 + wide, 0, high), "back")
    rim += box((w / 2 - wide, -thick, low), (w / 2, 0, high), "back")
    rim += box((-w / 2 + wide, -thick, high - wide), (w / 2 - wide, 0, high), "back left right")
    rim += box((-w / 2 + wide, -thick, low), (w / 2 - wide, 0, low + wide), "back left right")
    return rim
