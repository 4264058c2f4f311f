"""Kinds of rooms: their sizes and contents."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from datamodules.generated.rooms import fittings, fixtures, furniture
from datamodules.generated.rooms.fixtures import Fixture
from datamodules.generated.rooms.furniture import Random
from datamodules.generated.rooms.layout import Group, Standing
from datamodules.generated.rooms.surfaces import Item

Maker = Callable[[Random], Group | list[Fixture]]


class Step(NamedTuple):
    """Something that is placed `least` to `most` times, as far as there is room."""

    make: Maker
    least: int = 1
    most: int = 1


class Plan(NamedTuple):
    """A kind of room: the ranges of its extents in metres, its contents, and the possible textures of its floor."""

    long: tuple[float, float]
    short: tuple[float, float]
    steps: Sequence[Step]
    floors: Sequence[str] = ("planks", "carpet", "tiles")


def _alone(make: Callable[[Random], Item]) -> Maker:
    return lambda rng: Group([Standing(make(rng))])


def _hung(make: Callable[[Random], Fixture]) -> Maker:
    return lambda rng: [make(rng)]


def _desk_group(rng: Random) -> Group:
    desk, chair = furniture.desk(rng), furniture.chair(rng)
    away = desk.depth / 2 + 0.05 + _reach(chair, turn := rng.uniform(-0.3, 0.3))
    members = [Standing(desk), Standing(chair, rng.uniform(-0.2, 0.2), -away, np.pi + turn)]
    if rng.uniform() < 0.8:
        members.append(Standing(fittings.monitor(rng, desk.height), rng.uniform(-0.2, 0.2), desk.depth / 2 - 0.2))
    return Group(members)


def _dining_group(rng: Random) -> Group:
    return _seated(rng, furniture.table(rng), int(rng.integers(2, 5)))


def _conference_group(rng: Random) -> Group:
    return _seated(rng, furniture.conference_table(rng), int(rng.integers(5, 9)))


def _seated(rng: Random, table: Item, chairs: int) -> Group:
    """Return a table with chairs: as many as fit at its long sides, then one at each end."""
    per_side = max(1, int(table.width / 0.72))
    rows = [(place + 0.5) / per_side - 0.5 for place in range(per_side)]
    places = [(side, row) for row in rows for side in (1, -1)]
    members = [Standing(table)]
    model = int(rng.integers(2**31))
    for side, row in [places[place] for place in rng.permutation(len(places))[:chairs]]:
        chair = furniture.chair(np.random.default_rng(model))  # all chairs of a table look the same
        away = table.depth / 2 + 0.04 + _reach(chair, turn := rng.uniform(-0.15, 0.15))
        members.append(Standing(chair, row * table.width, side * away, turn + (0 if side > 0 else np.pi)))
    return Group(members, free=True)


def _bed_group(rng: Random) -> Group:
    bed, side = furniture.bed(rng), rng.choice([-1, 1])
    mattress = 0.5  # pillows sink in slightly
    members = [Standing(bed), Standing(fittings.pillow(rng, bed.width, mattress), 0.0, bed.depth / 2 - 0.28)]
    if rng.uniform() < 0.6:
        stand = furniture.nightstand(rng)
        members.append(Standing(stand, side * (bed.width / 2 + stand.width / 2 + 0.04), (bed.depth - stand.depth) / 2))
    return Group(members)


def _sofa_group(rng: Random) -> Group:
    sofa = furniture.sofa(rng)
    members = [Standing(sofa)]
    if rng.uniform() < 0.7:
        table = furniture.coffee_table(rng)
        members.append(Standing(table, 0.0, -(sofa.depth + table.depth) / 2 - rng.uniform(0.2, 0.35)))
    return Group(members)


def _kitchen_group(rng: Random) -> Group:
    return Group([Standing(item) for item in fittings.kitchen(rng)])


def _bath_group(rng: Random) -> Group:
    tub = fittings.bathtub(rng)
    return Group([Standing(tub), Standing(fittings.shower_curtain(rng, tub.width), 0.0, -tub.depth / 2 + 0.05)])


def _window(rng: Random) -> list[Fixture]:
    window = fixtures.window(rng)
    if rng.uniform() < 0.6:
        return [window, fixtures.curtains(rng, window.item.width, window.item.height)]
    return [window]


def _cabinets_above(rng: Random) -> list[Fixture]:
    return [fixtures.wall_cabinet(rng, rng.uniform(0.9, 1.5))]


def _reach(item: Item, turn: float) -> float:
    """Return half of the depth of a rotated item."""
    return (abs(np.sin(turn)) * item.width + abs(np.cos(turn)) * item.depth) / 2


_DOOR = Step(_hung(fixtures.door))
_WINDOW = Step(_window)
_BARE_WINDOW = Step(_hung(fixtures.window), 1, 2)
_PICTURES = Step(_hung(fixtures.picture), 1, 3)
_BOARD = Step(_hung(fixtures.board))
_DESK = Step(_desk_group)
_SHELF = Step(_alone(furniture.bookshelf))
_CABINET = Step(_alone(furniture.cabinet))
_CHAIR = Step(_alone(furniture.chair))
_BIN = Step(_alone(fittings.bin_))
_LAMP = Step(_alone(fittings.lamp), 0, 1)
_BOXES = Step(_alone(fittings.carton), 0, 2)
_SOFA = Step(_sofa_group)

SCANNET_PLANS = {
    "bedroom": Plan(
        (2.9, 3.4),
        (2.5, 2.9),
        [_DOOR, Step(_bed_group), _WINDOW, _DESK, _CABINET, _PICTURES, _SHELF._replace(least=0), _BIN, _LAMP],
    ),
    "living room": Plan(
        (2.9, 3.5), (2.5, 3.0), [_SOFA, _WINDOW, _SHELF, _DOOR, _CABINET, _CHAIR, _PICTURES, _LAMP, _BOXES]
    ),
    "kitchen": Plan(
        (2.9, 3.4),
        (2.5, 2.9),
        [
            Step(_kitchen_group),
            Step(_alone(fittings.refrigerator)),
            _DOOR,
            _WINDOW,
            Step(_dining_group),
            Step(_cabinets_above),
            _BIN,
            _PICTURES._replace(least=0, most=1),
        ],
        ("tiles", "planks"),
    ),
    "bathroom": Plan(
        (2.5, 2.9),
        (1.9, 2.3),
        [
            Step(_bath_group),
            Step(_alone(fittings.toilet)),
            Step(_alone(fittings.washbasin)),
            _DOOR,
            Step(_hung(fixtures.window)),
            _CABINET,
            _BIN,
            _PICTURES._replace(least=0, most=1),
        ],
        ("tiles",),
    ),
    "office": Plan(
        (2.9, 3.5),
        (2.5, 3.0),
        [_DOOR, _DESK._replace(most=2), _SHELF, _WINDOW, _BOARD, _CABINET, Step(_dining_group, 0, 1), _BIN, _BOXES],
    ),
}
"""Parts of flats and offices, with sizes that are common in ScanNet."""

S3DIS_PLANS = {
    "conferenceRoom": Plan(
        (4.2, 4.8),
        (3.4, 3.8),
        [_DOOR, _BOARD, Step(_conference_group), _BARE_WINDOW, _SHELF, _PICTURES._replace(least=0), _BIN],
        ("carpet", "planks"),
    ),
    "hallway": Plan(
        (5.5, 7.0),
        (1.9, 2.3),
        [_DOOR._replace(least=3, most=5), _SHELF, _BOARD, _WINDOW._replace(make=_hung(fixtures.window)), _BIN, _BOXES],
        ("tiles", "carpet"),
    ),
    "lounge": Plan(
        (3.9, 4.6),
        (3.4, 3.8),
        [_DOOR, _SOFA._replace(least=2, most=2), _BARE_WINDOW, Step(_dining_group), _SHELF, _PICTURES, _LAMP, _BOARD],
    ),
    "office": Plan(
        (3.8, 4.6),
        (3.0, 3.6),
        [
            _DOOR,
            _DESK._replace(most=2),
            _SHELF._replace(most=2),
            _BARE_WINDOW,
            _BOARD,
            _SOFA._replace(least=0),
            _CABINET,
            _BIN,
        ],
        ("carpet", "planks"),
    ),
}
"""Rooms of office buildings, with S3DIS's names."""

_SMALL = (1.7, 2.1), (1.5, 1.8)
SCANNET_MINI_PLANS = {
    "study": Plan(*_SMALL, [_DESK, _SHELF, _CABINET._replace(least=0), _BIN]),
    "sitting corner": Plan(
        *_SMALL, [Step(_alone(furniture.sofa)), Step(_alone(furniture.coffee_table)), _CHAIR, _SHELF._replace(least=0)]
    ),
    "washroom": Plan(
        *_SMALL, [Step(_alone(fittings.toilet)), Step(_alone(fittings.washbasin)), _CABINET, _BIN], ("tiles",)
    ),
}
"""Corners of rooms, scanned up to the height of furniture, with nothing on the walls."""

_ROOMLET = (2.2, 2.6), (1.8, 2.1)
S3DIS_MINI_PLANS = {
    "copyRoom": Plan(*_ROOMLET, [_DOOR, Step(_alone(furniture.table)), _SHELF, _BOXES._replace(least=1)]),
    "lounge": Plan(
        *_ROOMLET, [_DOOR, Step(_alone(furniture.sofa)), _BARE_WINDOW._replace(most=1), _CHAIR], ("carpet", "planks")
    ),
    "office": Plan(*_ROOMLET, [_DOOR, _DESK, _BARE_WINDOW._replace(most=1), _SHELF, _BIN], ("carpet", "planks")),
}
"""Rooms of a few square metres."""
