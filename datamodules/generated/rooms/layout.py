"""Places things in a room so that nothing overlaps.

The origin of the room's frame is on the floor, in the middle of the room. The frame of wall k is the room's frame,
rotated by -90 degrees k times, with its origin at the foot of the wall: x along the wall, y outwards. Things
against a wall are placed in the wall's frame.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from datamodules.generated.rooms.fixtures import Fixture
from datamodules.generated.rooms.surfaces import Array, Item

Rectangle = tuple[float, float, float, float]
"""Minimum and maximum of the first coordinate, then of the second, in metres."""

_TRIES = 60
_DOORWAY = 0.8
_NEAR_WALL = 0.4


class Standing(NamedTuple):
    """An item with its position in metres and its angle in radians."""

    item: Item
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0


class Group(NamedTuple):
    """Things that stand together, in their own frame, with their back at +y.

    Attributes:
        members: The things.
        free: Whether the group stands away from the walls, rotated by any multiple of 90 degrees.
    """

    members: Sequence[Standing]
    free: bool = False


class Layout:
    """A room that is empty at first and filled step by step.

    Args:
        width: Extent along x in metres.
        depth: Extent along y in metres.
        walls: The existing walls, of 0 (+y), 1 (+x), 2 (-y) and 3 (-x); a scan may lack some.
        height: Height of the walls in metres.
        rng: Draws the positions.

    Attributes:
        standing: The things in the room so far.
        holes: The holes in each wall, in the wall's frame.
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
        """Return the origin (2,) of a wall's frame, and its angle in radians."""
        away = (self.width if wall % 2 else self.depth) / 2
        yaw = -np.pi / 2 * wall
        return _turned(np.array([0.0, away]), yaw), yaw

    def hang(self, fixtures: Sequence[Fixture]) -> bool:
        """Hang fixtures on top of each other at a random free place on a wall; return whether there was room."""
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
            is_door = fixtures[0].item.kind == "door"
            if _overlaps(span, self._on_walls[wall], 0.04) or (is_door and _overlaps(doorway, self._floor, 0.0)):
                continue
            self._hang_at(fixtures, wall, a)
            if is_door:
                self._floor.append(doorway)
            elif low < 0.5:
                self._floor.append(self._on_floor(wall, (*span[:2], -0.15, 0.0)))
            return True
        return False

    def put(self, group: Group) -> bool:
        """Put a group at a random free place, against a wall unless it is `free`; return whether there was room."""
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
        """Return whether members, in a wall's frame, overlap anything; if not, mark their places as taken."""
        floor = self._on_floor(wall, group_extent(members))
        if _overlaps(floor, self._floor, 0.03):
            return True
        on_walls = []
        for member in members:
            in_room = self._on_floor(wall, group_extent([member]))
            for other in self.walls:
                a0, a1, _, y1 = self._seen_from(other, in_room)
                if y1 > -_NEAR_WALL:
                    span = (a0, a1, 0.0, member.item.height)
                    if _overlaps(span, self._on_walls[other], 0.0):
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
        """Convert a rectangle from a wall's frame to the room's frame."""
        origin, yaw = self.foot(wall)
        corners = np.array([[rectangle[0], rectangle[2]], [rectangle[1], rectangle[3]]])
        return _extent(origin + _turned(corners, yaw))

    def _seen_from(self, wall: int, rectangle: Rectangle) -> Rectangle:
        """Convert a rectangle from the room's frame to a wall's frame."""
        origin, yaw = self.foot(wall)
        corners = np.array([[rectangle[0], rectangle[2]], [rectangle[1], rectangle[3]]])
        return _extent(_turned(corners - origin, -yaw))


def group_extent(members: Sequence[Standing]) -> Rectangle:
    """Return the axis-aligned rectangle around the footprints of things."""
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


def _overlaps(rectangle: Rectangle, others: Sequence[Rectangle], margin: float) -> bool:
    return any(
        rectangle[0] < other[1] + margin
        and other[0] < rectangle[1] + margin
        and rectangle[2] < other[3] + margin
        and other[2] < rectangle[3] + margin
        for other in others
    )
