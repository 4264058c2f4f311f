"""Where things stand and hang in a room, so that nothing overlaps.

The room's frame has its origin on the floor amid the room. Wall k's frame is the room's turned by -90 degrees k times,
its origin at the wall's foot: x along the wall, y outwards. Things against a wall stand in that frame as they are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from datamodules.generated.rooms.fixtures import Fixture
from datamodules.generated.rooms.surfaces import Array, Item

Rectangle = tuple[float, float, float, float]
"""Least and greatest first coordinate, then least and greatest second one, in metres."""

_TRIES = 60
_DOORWAY = 0.8
_NEAR_WALL = 0.4


class Standing(NamedTuple):
    """An item, where it stands in metres, and by which angle it is turned in radians."""

    item: Item
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0


class Group(NamedTuple):
    """Things that stand together, in a frame of their own with their back at +y.

    Attributes:
        members: What stands where.
        free: It stands amid the room, turned by any angle a multiple of 90 degrees, and not against a wall.
    """

    members: Sequence[Standing]
    free: bool = False


class Layout:
    """An empty room that is filled step by step.

    Args:
        width: Extent along x in metres.
        depth: Extent along y in metres.
        walls: The walls that there are, of 0 (+y), 1 (+x), 2 (-y), 3 (-x); a scan may lack some.
        height: Of the walls in metres.
        rng: Draws the places.

    Attributes:
        standing: What is in the room so far.
        holes: Wall -> parts of it that are left out, in its frame.
    """

    def __init__(
        self, width: float, depth: float, walls: Sequence[int], height: float, rng: np.random.Generator
    ) -> None:
        self.width, self.depth, self.walls, self.height, self.rng = width, depth, list(walls), height, rng
        self.standing: list[Standing] = []
        self.holes: dict[int, list[Rectangle]] = {wall: [] for wall in self.walls}
        self._floor: list[Rectangle] = []
        self._on_walls: dict[int, list[Rectangle]] = {wall: [] for wall in self.walls}

    def length(self, wall: int) -> float:
        """Return a wall's length in metres."""
        return self.depth if wall % 2 else self.width

    def foot(self, wall: int) -> tuple[Array, float]:
        """Return the origin (2,) of a wall's frame, and its angle."""
        away = (self.width if wall % 2 else self.depth) / 2
        yaw = -np.pi / 2 * wall
        return _turned(np.array([0.0, away]), yaw), yaw

    def hang(self, fixtures: Sequence[Fixture]) -> bool:
        """Hang fixtures, one over the other, somewhere on a wall where nothing is; return whether there was room."""
        width = max(fixture.item.width for fixture in fixtures)
        high = max(fixture.item.height for fixture in fixtures)
        low = min(fixture.low for fixture in fixtures)
        for _ in range(_TRIES):
            wall = int(self.rng.choice(self.walls))
            slack = self.length(wall) / 2 - width / 2 - 0.05
            if slack < -1e-6 - 0.05 or high > self.height:
                continue
            a = self.rng.uniform(-slack, slack) if slack > 0 else 0.0
            span = (a - width / 2, a + width / 2, low, high)
            doorway = self._on_floor(wall, (a - width / 2, a + width / 2, -_DOORWAY, 0.0))
            leads = fixtures[0].item.kind == "door"
            if _meets(span, self._on_walls[wall], 0.04) or (leads and _meets(doorway, self._floor, 0.0)):
                continue
            self._hang_at(fixtures, wall, a)
            if leads:
                self._floor.append(doorway)
            elif low < 0.5:
                self._floor.append(self._on_floor(wall, (*span[:2], -0.15, 0.0)))
            return True
        return False

    def put(self, group: Group) -> bool:
        """Let a group stand where nothing is, against a wall unless it is free; return whether there was room."""
        x0, x1, y0, y1 = group_extent(group.members)
        for _ in range(_TRIES):
            wall = int(self.rng.integers(4)) if group.free else int(self.rng.choice(self.walls))
            origin, yaw = self.foot(wall)
            room_deep = self.width if wall % 2 else self.depth
            slack = self.length(wall) - (x1 - x0) - 0.06
            behind = room_deep - (y1 - y0) - 0.06
            if slack < 0 or behind < 0:
                continue
            x = self.rng.uniform(0, slack) - self.length(wall) / 2 + 0.03 - x0
            gap = self.rng.uniform(0.25, 0.75) * behind if group.free else min(self.rng.uniform(0.02, 0.05), behind)
            moved = [member._replace(x=member.x + x, y=member.y - y1 - gap) for member in group.members]
            if self._is_taken(moved, wall):
                continue
            for member in moved:
                place = origin + _turned(np.array([member.x, member.y]), yaw)
                self.standing.append(Standing(member.item, float(place[0]), float(place[1]), member.yaw + yaw))
            return True
        return False

    def _is_taken(self, members: Sequence[Standing], wall: int) -> bool:
        """Return whether members overlap something in a wall's frame; if not, take up their places."""
        floor = self._on_floor(wall, group_extent(members))
        if _meets(floor, self._floor, 0.03):
            return True
        on_walls = []
        for member in members:
            in_room = self._on_floor(wall, group_extent([member]))
            for other in self.walls:
                a0, a1, _, y1 = self._seen_from(other, in_room)
                if y1 > -_NEAR_WALL:
                    span = (a0, a1, 0.0, member.item.height)
                    if _meets(span, self._on_walls[other], 0.0):
                        return True
                    on_walls.append((other, span))
        self._floor.append(floor)
        for other, span in on_walls:
            self._on_walls[other].append(span)
        return False

    def _hang_at(self, fixtures: Sequence[Fixture], wall: int, a: float) -> None:
        origin, yaw = self.foot(wall)
        place = origin + _turned(np.array([a, 0.0]), yaw)
        for item, low, hole in fixtures:
            self.standing.append(Standing(item, float(place[0]), float(place[1]), yaw))
            span = (a - item.width / 2, a + item.width / 2, low, item.height)
            self._on_walls[wall].append(span)
            if hole:
                self.holes[wall].append(span)

    def _on_floor(self, wall: int, rectangle: Rectangle) -> Rectangle:
        """A rectangle of a wall's frame in the room's."""
        origin, yaw = self.foot(wall)
        corners = np.array([[rectangle[0], rectangle[2]], [rectangle[1], rectangle[3]]])
        return _extent(origin + _turned(corners, yaw))

    def _seen_from(self, wall: int, rectangle: Rectangle) -> Rectangle:
        """A rectangle of the room's frame in a wall's."""
        origin, yaw = self.foot(wall)
        corners = np.array([[rectangle[0], rectangle[2]], [rectangle[1], rectangle[3]]])
        return _extent(_turned(corners - origin, -yaw))


def group_extent(members: Sequence[Standing]) -> Rectangle:
    """Return the rectangle, along the axes, around the footprints of things."""
    extents = []
    for item, x, y, yaw in members:
        c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
        half_x, half_y = (c * item.width + s * item.depth) / 2, (s * item.width + c * item.depth) / 2
        extents.append((x - half_x, x + half_x, y - half_y, y + half_y))
    x0, x1, y0, y1 = zip(*extents, strict=True)
    return min(x0), max(x1), min(y0), max(y1)


def _extent(points: Array) -> Rectangle:
    (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
    return x0, x1, y0, y1


def _turned(points: Array, yaw: float) -> Array:
    c, s = np.cos(yaw), np.sin(yaw)
    return points @ np.array([[c, s], [-s, c]])


def _meets(one: Rectangle, others: Sequence[Rectangle], margin: float) -> bool:
    return any(
        one[0] < other[1] + margin
        and other[0] < one[1] + margin
        and one[2] < other[3] + margin
        and other[2] < one[3] + margin
        for other in others
    )
