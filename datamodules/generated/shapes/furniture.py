"""Shapes made of boxes and rods: furniture, doors, monitors and stairs. z points up; lengths are in metres."""

import numpy as np

from datamodules.generated.shapes.surfaces import Panel, Surface, box, rod, turned

Random = np.random.Generator


def bathtub(rng: Random) -> list[Surface]:
    """Return a bathtub: a rim around a trough with slanting walls, in a casing."""
    w, d, h = rng.uniform(1.4, 1.8), rng.uniform(0.65, 0.85), rng.uniform(0.45, 0.6)
    rim, slant, floor = rng.uniform(0.05, 0.1), rng.uniform(0.05, 0.2), rng.uniform(0.06, 0.12)
    upper = [np.array([x * (w / 2 - rim), y * (d / 2 - rim), h]) for x, y in _CORNERS]
    lower = [np.array([x * (w / 2 - rim - slant), y * (d / 2 - rim - slant / 2), floor]) for x, y in _CORNERS]
    casing = [side for side in box((-w / 2, -d / 2, 0), (w / 2, d / 2, h)) if not _faces_up(side)]
    surfaces: list[Surface] = [*casing, Panel(lower[0], lower[1] - lower[0], lower[3] - lower[0])]
    for here, there in ((0, 1), (1, 2), (2, 3), (3, 0)):
        a, b = (upper[here] + lower[here]) / 2, (upper[there] + lower[there]) / 2
        drop = (lower[here] + lower[there] - upper[here] - upper[there]) / 2
        surfaces.append(Panel(a - drop / 2, b - a, drop))
    for y in (-d / 2, d / 2 - rim):
        surfaces.append(Panel(np.array([-w / 2, y, h]), np.array([w, 0, 0]), np.array([0, rim, 0])))
    for x in (-w / 2, w / 2 - rim):
        surfaces.append(Panel(np.array([x, rim - d / 2, h]), np.array([rim, 0, 0]), np.array([0, d - 2 * rim, 0])))
    return surfaces


def bed(rng: Random) -> list[Surface]:
    """Return a bed: mattress on a frame, headboard, pillows, sometimes a footboard."""
    w, d, frame = rng.uniform(1.0, 1.9), rng.uniform(1.9, 2.1), rng.uniform(0.2, 0.35)
    top = frame + rng.uniform(0.15, 0.25)
    surfaces = box((-w / 2, -d / 2, 0.08), (w / 2, d / 2, frame)) + legs(w, d, 0.08, 0.08)
    surfaces += box((0.03 - w / 2, 0.03 - d / 2, frame), (w / 2 - 0.03, d / 2 - 0.06, top))
    surfaces += box((-w / 2, d / 2, 0), (w / 2, d / 2 + 0.07, rng.uniform(0.8, 1.2)))
    if rng.uniform() < 0.4:
        surfaces += box((-w / 2, -d / 2 - 0.06, 0), (w / 2, -d / 2, rng.uniform(0.45, 0.7)))
    for x in (-w / 4, w / 4) if w > 1.35 else (0.0,):
        surfaces += box((x - 0.28, d / 2 - 0.5, top), (x + 0.28, d / 2 - 0.12, top + 0.12))
    return surfaces


def bench(rng: Random) -> list[Surface]:
    """Return a long bench on side panels or legs; half of them have a back of slats."""
    w, d, h = rng.uniform(1.2, 1.9), rng.uniform(0.35, 0.5), rng.uniform(0.4, 0.48)
    surfaces = [side for y in np.linspace(-d / 2, d / 2 - 0.09, 4) for side in _slat(w, y, 0.08, h)]
    if rng.uniform() < 0.5:
        for x in (-w * 0.4, w * 0.4):
            surfaces += box((x - 0.03, -d / 2, 0), (x + 0.03, d / 2, h - 0.04))
    else:
        surfaces += legs(w * 0.9, d, h - 0.04, 0.06)
    if rng.uniform() < 0.5:
        for z in np.linspace(h + 0.1, h + rng.uniform(0.3, 0.42), 3):
            surfaces += box((-w / 2, d / 2, z), (w / 2, d / 2 + 0.03, z + 0.08))
        for x in (-w * 0.4, w * 0.4):
            surfaces += box((x - 0.03, d / 2 + 0.03, h - 0.04), (x + 0.03, d / 2 + 0.06, h + 0.45))
    return surfaces


def bookshelf(rng: Random) -> list[Surface]:
    """Return an open shelf with a back and evenly spaced boards."""
    w, d, h = rng.uniform(0.7, 1.4), rng.uniform(0.25, 0.38), rng.uniform(1.4, 2.1)
    surfaces: list[Surface] = box((-w / 2, d / 2 - 0.02, 0), (w / 2, d / 2, h))
    for x in (-w / 2, w / 2 - 0.03, *([-0.015] if w > 1.1 else [])):
        surfaces += box((x, -d / 2, 0), (x + 0.03, d / 2, h))
    for z in np.linspace(0.05, h - 0.03, int(rng.integers(4, 8))):
        surfaces += box((-w / 2, -d / 2, z), (w / 2, d / 2, z + 0.025))
    return surfaces


def chair(rng: Random) -> list[Surface]:
    """Return a chair: seat, four legs, a back made of a plate or bars; some have arms."""
    w, d, seat, top = rng.uniform(0.4, 0.52), rng.uniform(0.4, 0.52), rng.uniform(0.4, 0.48), rng.uniform(0.8, 1.05)
    surfaces = box((-w / 2, -d / 2, seat - 0.04), (w / 2, d / 2, seat)) + legs(w, d, seat - 0.04, 0.045)
    if rng.uniform() < 0.55:
        surfaces += box((-w / 2, d / 2 - 0.03, seat + rng.uniform(0, 0.15)), (w / 2, d / 2, top))
    else:
        for x in np.linspace(-w / 2, w / 2 - 0.03, int(rng.integers(3, 6))):
            surfaces += box((x, d / 2 - 0.03, seat), (x + 0.03, d / 2, top - 0.06))
        surfaces += box((-w / 2, d / 2 - 0.03, top - 0.06), (w / 2, d / 2, top))
    if rng.uniform() < 0.3:
        for x in (-w / 2 - 0.02, w / 2 - 0.03):
            surfaces += box((x, -d / 2, seat + 0.2), (x + 0.05, d / 2, seat + 0.24))
            surfaces += rod((x + 0.025, -d / 2 + 0.05, seat), (x + 0.025, -d / 2 + 0.05, seat + 0.2), 0.04)
    return surfaces


def desk(rng: Random) -> list[Surface]:
    """Return a desk with a closed back: a plate on a drawer unit and a side panel or legs."""
    w, d, h = rng.uniform(1.2, 1.7), rng.uniform(0.6, 0.8), rng.uniform(0.7, 0.78)
    unit = rng.uniform(0.35, 0.48)
    surfaces = box((-w / 2, -d / 2, h - 0.04), (w / 2, d / 2, h))
    surfaces += box((w / 2 - unit, -d / 2 + 0.03, 0.05), (w / 2 - 0.02, d / 2 - 0.02, h - 0.04))
    for z in np.linspace(0.08, h - 0.28, 3):
        surfaces += box((w / 2 - unit + 0.03, -d / 2, z), (w / 2 - 0.05, -d / 2 + 0.03, z + 0.18))
    if rng.uniform() < 0.35:
        surfaces += box((-w / 2 + 0.02, -d / 2 + 0.03, 0.05), (-w / 2 + unit, d / 2 - 0.02, h - 0.04))
    else:
        surfaces += box((-w / 2 + 0.02, -d / 2 + 0.03, 0), (-w / 2 + 0.06, d / 2 - 0.02, h - 0.04))
    surfaces += box((-w / 2, d / 2 - 0.04, rng.uniform(0.1, 0.35)), (w / 2, d / 2 - 0.02, h - 0.04))
    return surfaces


def door(rng: Random) -> list[Surface]:
    """Return a door in its frame, with panels and a handle on both sides."""
    w, h, deep = rng.uniform(0.75, 1.0), rng.uniform(1.95, 2.15), rng.uniform(0.08, 0.14)
    surfaces = box((-w / 2, -0.02, 0), (w / 2, 0.02, h))
    for x in (-w / 2 - 0.08, w / 2):
        surfaces += box((x, -deep / 2, 0), (x + 0.08, deep / 2, h + 0.08))
    surfaces += box((-w / 2, -deep / 2, h), (w / 2, deep / 2, h + 0.08))
    for side in (-1, 1):
        y0, y1 = sorted((side * 0.02, side * 0.035))
        for z0, z1 in ((0.12, 0.9), (1.1, h - 0.12)):
            surfaces += box((-w / 2 + 0.12, y0, z0), (w / 2 - 0.12, y1, z1))
        surfaces += rod((w / 2 - 0.1, side * 0.03, 1.0), (w / 2 - 0.1, side * 0.09, 1.0), 0.05)
    return surfaces


def monitor(rng: Random) -> list[Surface]:
    """Return a flat screen on a neck and a foot."""
    w = rng.uniform(0.45, 0.75)
    h, low, deep = w * rng.uniform(0.56, 0.7), rng.uniform(0.08, 0.18), rng.uniform(0.03, 0.08)
    surfaces = box((-w / 2, -deep / 2, low), (w / 2, deep / 2, low + h))
    surfaces += box((-w / 3, deep / 2, low + 0.2 * h), (w / 3, deep / 2 + 0.04, low + 0.8 * h))
    surfaces += box((-0.04, 0, 0.015), (0.04, 0.04 + deep, low + 0.4 * h))
    if rng.uniform() < 0.5:
        return surfaces + turned([(0, 0), (w / 4, 0), (w / 4, 0.015), (0, 0.02)])
    return surfaces + box((-w / 4, -0.1, 0), (w / 4, 0.12, 0.015))


def sofa(rng: Random) -> list[Surface]:
    """Return a sofa for two or three: base, arms, back, cushions."""
    seats = int(rng.integers(2, 4))
    w, d = 0.4 + seats * rng.uniform(0.55, 0.65), rng.uniform(0.8, 0.95)
    seat, top, arm = rng.uniform(0.3, 0.38), rng.uniform(0.7, 0.9), rng.uniform(0.5, 0.65)
    surfaces = box((-w / 2, -d / 2, 0.06), (w / 2, d / 2, seat)) + legs(w, d, 0.06, 0.06)
    surfaces += box((-w / 2, d / 2 - 0.2, seat), (w / 2, d / 2, top))
    for x in (-w / 2, w / 2 - 0.18):
        surfaces += box((x, -d / 2, seat), (x + 0.18, d / 2 - 0.2, arm))
    each = (w - 0.36) / seats
    for x in np.arange(seats) * each - w / 2 + 0.18:
        surfaces += box((x + 0.01, -d / 2, seat), (x + each - 0.01, d / 2 - 0.22, seat + 0.12))
    return surfaces


def stairs(rng: Random) -> list[Surface]:
    """Return a straight flight of steps, either solid or of boards between stringers."""
    count, w = int(rng.integers(5, 11)), rng.uniform(0.8, 1.4)
    rise, run = rng.uniform(0.16, 0.2), rng.uniform(0.25, 0.31)
    if rng.uniform() < 0.5:
        return [
            side for n in range(count) for side in box((-w / 2, n * run, 0), (w / 2, (n + 1) * run, (n + 1) * rise))
        ]
    surfaces: list[Surface] = []
    for n in range(count):
        surfaces += box((-w / 2, n * run, (n + 1) * rise - 0.04), (w / 2, (n + 1) * run + 0.03, (n + 1) * rise))
    for x in (-w / 2, w / 2):
        slope = np.array([0, count * run, count * rise])
        surfaces.append(Panel(np.array([x, 0, 0.0]), slope, np.array([0, 0, 0.2])))
    return surfaces


def stool(rng: Random) -> list[Surface]:
    """Return a round stool on three or four splayed legs, or on a column."""
    r, h = rng.uniform(0.15, 0.22), rng.uniform(0.45, 0.8)
    surfaces = turned([(0, h - 0.04), (r, h - 0.04), (r, h), (0, h)])
    if rng.uniform() < 0.35:
        return (
            surfaces
            + rod((0, 0, 0), (0, 0, h - 0.04), 0.06)
            + turned([(0, 0), (1.1 * r, 0), (1.1 * r, 0.02), (0, 0.03)])
        )
    count, spread = int(rng.integers(3, 5)), rng.uniform(1.0, 1.4)
    for angle in np.arange(count) * 2 * np.pi / count:
        way = np.array([np.cos(angle), np.sin(angle), 0])
        surfaces += rod(way * r * spread, way * 0.75 * r + (0, 0, h - 0.04), 0.035)
    return surfaces


def table(rng: Random) -> list[Surface]:
    """Return a table: a plate on four legs, or a round one on a column."""
    h = rng.uniform(0.68, 0.78)
    if rng.uniform() < 0.3:
        r = rng.uniform(0.45, 0.7)
        top = turned([(0, h - 0.04), (r, h - 0.04), (r, h), (0, h)])
        return top + turned([(0, 0), (0.5 * r, 0), (0.5 * r, 0.03), (0.05, 0.06), (0.05, h - 0.04)])
    w, d = rng.uniform(1.0, 1.9), rng.uniform(0.7, 1.0)
    return box((-w / 2, -d / 2, h - 0.04), (w / 2, d / 2, h)) + legs(w, d, h - 0.04, rng.uniform(0.05, 0.09))


def wardrobe(rng: Random) -> list[Surface]:
    """Return a tall closed cupboard with two doors and handles."""
    w, d, h = rng.uniform(0.9, 1.5), rng.uniform(0.5, 0.65), rng.uniform(1.8, 2.2)
    surfaces = box((-w / 2, -d / 2, 0.05), (w / 2, d / 2, h)) + legs(w, d, 0.05, 0.06)
    for low, high in ((-w / 2 + 0.03, -0.01), (0.01, w / 2 - 0.03)):
        surfaces += box((low, -d / 2 - 0.02, 0.1), (high, -d / 2, h - 0.05))
    for x in (-0.06, 0.06):
        surfaces += rod((x, -d / 2 - 0.04, 0.45 * h), (x, -d / 2 - 0.04, 0.55 * h), 0.02)
    return surfaces


def legs(w: float, d: float, h: float, thick: float) -> list[Surface]:
    """Return four legs below the corners of a plate."""
    return [
        side
        for x in (-w / 2, w / 2 - thick)
        for y in (-d / 2, d / 2 - thick)
        for side in box((x, y, 0), (x + thick, y + thick, h))
    ]


_CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))


def _slat(w: float, y: float, deep: float, h: float) -> list[Surface]:
    return box((-w / 2, y, h - 0.04), (w / 2, y + deep, h))


def _faces_up(side: Surface) -> bool:
    return isinstance(side, Panel) and np.cross(side.across, side.up)[2] > 0
