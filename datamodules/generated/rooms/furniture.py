"""Chairs, tables, beds, sofas, cabinets and shelves in plausible sizes and colours."""

import itertools

import numpy as np

from datamodules.generated.rooms.colours import draw
from datamodules.generated.rooms.surfaces import Array, Item, Part, Sheet, Surface, Tube, box, disc, upright

Random = np.random.Generator
WOODEN = {"wood": 0.6, "white": 0.2, "dark": 0.1, "grey": 0.1}
SEATS = {"fabric": 0.4, "dark": 0.25, "wood": 0.2, "grey": 0.15}
METAL = {"steel": 0.5, "dark": 0.3, "grey": 0.2}


def chair(rng: Random) -> Item:
    """Return a chair with four legs, or an office chair on a column with a star foot."""
    return _office_chair(rng) if rng.uniform() < 0.4 else _plain_chair(rng)


def _plain_chair(rng: Random) -> Item:
    w, d = rng.uniform(0.40, 0.50), rng.uniform(0.42, 0.52)
    seat, top = rng.uniform(0.43, 0.48), rng.uniform(0.80, 0.98)
    colour = draw(rng, SEATS)
    frame = colour if rng.uniform() < 0.5 else draw(rng, METAL)
    back = box((-w / 2, d / 2 - 0.04, seat + rng.uniform(0.0, 0.15)), (w / 2, d / 2, top))
    cushion = box((-w / 2, -d / 2, seat - 0.05), (w / 2, d / 2, seat))
    legs = legs_of(w, d, seat - 0.05, 0.04)
    return Item("chair", [Part(cushion + back, colour), Part(legs, frame)], w, d, top)


def _office_chair(rng: Random) -> Item:
    w, seat, top = rng.uniform(0.48, 0.56), rng.uniform(0.45, 0.52), rng.uniform(0.90, 1.10)
    colour, metal = draw(rng, SEATS), draw(rng, METAL)
    soft = box((-w / 2, -w / 2, seat - 0.08), (w / 2, w / 2 - 0.06, seat))
    soft += box((-w / 2 + 0.03, w / 2 - 0.08, seat + 0.12), (w / 2 - 0.03, w / 2, top))
    hard = box((-0.04, w / 2 - 0.05, seat - 0.05), (0.04, w / 2 - 0.02, seat + 0.12))
    hard += [Tube(np.array([0, 0, 0.08]), (0.03, 0.03), seat - 0.16)]
    hard += box((-w / 2, -0.03, 0.03), (w / 2, 0.03, 0.09)) + box((-0.03, -w / 2, 0.03), (0.03, w / 2, 0.09))
    if rng.uniform() < 0.6:
        for side in (-w / 2, w / 2 - 0.05):
            hard += box((side, -0.15, seat + 0.18), (side + 0.05, 0.12, seat + 0.22))
            hard += box((side, -0.02, seat), (side + 0.05, 0.02, seat + 0.18), "top bottom")
    return Item("chair", [Part(soft, colour), Part(hard, metal)], w, w, top)


def table(rng: Random) -> Item:
    """Return a rectangular table on four legs, or a round one on a column."""
    height = rng.uniform(0.70, 0.78)
    colour = draw(rng, WOODEN)
    if rng.uniform() < 0.35:
        r = rng.uniform(0.45, 0.62)
        top: list[Surface] = [disc((0, 0, height), (r, r)), Tube(np.array([0, 0, height - 0.04]), (r, r), 0.04)]
        foot: list[Surface] = [Tube(np.zeros(3), (0.05, 0.05), height - 0.04), disc((0, 0, 0.04), (0.28, 0.28))]
        return Item("table", [Part(top, colour), Part(foot, draw(rng, METAL))], 2 * r, 2 * r, height)
    return table_of(rng, rng.uniform(1.1, 1.7), rng.uniform(0.7, 0.95), height, colour)


def coffee_table(rng: Random) -> Item:
    """Return a low table."""
    size = rng.uniform(0.8, 1.2), rng.uniform(0.45, 0.65), rng.uniform(0.38, 0.46)
    return table_of(rng, *size, draw(rng, WOODEN))


def conference_table(rng: Random) -> Item:
    """Return a long table on two side panels."""
    w, d, h = rng.uniform(2.0, 2.8), rng.uniform(1.0, 1.3), rng.uniform(0.72, 0.77)
    colour = draw(rng, WOODEN)
    top = box((-w / 2, -d / 2, h - 0.05), (w / 2, d / 2, h))
    sides = [*box((-w * 0.3, -d * 0.3, 0), (-w * 0.3 + 0.06, d * 0.3, h - 0.05), "top bottom")]
    sides += box((w * 0.3 - 0.06, -d * 0.3, 0), (w * 0.3, d * 0.3, h - 0.05), "top bottom")
    return Item("table", [Part(top, colour), Part(sides, draw(rng, METAL))], w, d, h)


def table_of(rng: Random, w: float, d: float, h: float, colour: Array) -> Item:
    """Return a table of a given width, depth, height and colour."""
    top = box((-w / 2, -d / 2, h - 0.04), (w / 2, d / 2, h))
    frame = colour if rng.uniform() < 0.6 else draw(rng, METAL)
    return Item("table", [Part(top, colour), Part(legs_of(w, d, h - 0.04, 0.06), frame)], w, d, h)


def desk(rng: Random) -> Item:
    """Return a desk: a plate on a drawer unit and a side panel, with a closed back."""
    w, d, h = rng.uniform(1.1, 1.6), rng.uniform(0.6, 0.75), rng.uniform(0.71, 0.77)
    colour, unit = draw(rng, WOODEN), rng.uniform(0.38, 0.45)
    side = 1 if rng.uniform() < 0.5 else -1
    x0, x1 = sorted((side * (w / 2 - unit), side * w / 2))
    body = box((x0, -d / 2 + 0.04, 0.0), (x1, d / 2, h - 0.03), "bottom top back")
    far = -side * (w / 2 - 0.015)
    body += box((far - 0.015, -d / 2 + 0.04, 0), (far + 0.015, d / 2, h - 0.03), "bottom top")
    y = d / 2 - 0.03
    body += [upright((-w / 2, y, 0.3), w, h - 0.33)]
    fronts = drawers(x0, x1, -d / 2 + 0.035, 0.05, h - 0.05, 3)
    plate = box((-w / 2, -d / 2, h - 0.03), (w / 2, d / 2, h))
    parts = [Part(body, colour), Part(plate, colour), Part(fronts, np.clip(colour * rng.uniform(0.8, 1.2), 0, 1))]
    return Item("desk", parts, w, d, h)


def bed(rng: Random) -> Item:
    """Return a bed: a frame, a mattress with a cover, and a headboard."""
    w, d = rng.uniform(0.95, 1.5), rng.uniform(1.9, 2.05)
    frame, h, head = rng.uniform(0.25, 0.35), rng.uniform(0.48, 0.60), rng.uniform(0.85, 1.15)
    wood, cover = draw(rng, WOODEN), draw(rng, {"fabric": 0.5, "paint": 0.3, "cream": 0.2})
    fold = rng.uniform(0.2, 0.5)
    base = box((-w / 2, -d / 2, 0), (w / 2, d / 2, frame), "bottom top")
    base += box((-w / 2, d / 2 - 0.05, frame), (w / 2, d / 2, head), "bottom")
    middle = d / 2 - 0.05 - fold
    blanket = box((-w / 2, -d / 2, frame), (w / 2, middle, h), "bottom back")
    sheet = box((-w / 2, middle, frame), (w / 2, d / 2 - 0.05, h), "bottom back front")
    texture = "stripes" if rng.uniform() < 0.25 else "plain"
    parts = [Part(base, wood), Part(blanket, cover, texture), Part(sheet, draw(rng, {"white": 0.7, "cream": 0.3}))]
    return Item("bed", parts, w, d, head)


def sofa(rng: Random) -> Item:
    """Return a sofa for one to three: base, arms, back, cushions."""
    seats = int(rng.integers(1, 4))
    w, d = 0.35 + seats * rng.uniform(0.52, 0.62), rng.uniform(0.8, 0.95)
    seat, top, arm = rng.uniform(0.38, 0.45), rng.uniform(0.75, 0.9), rng.uniform(0.55, 0.65)
    colour = draw(rng, {"fabric": 0.5, "dark": 0.15, "cream": 0.15, "grey": 0.2})
    body = box((-w / 2 + 0.17, -d / 2, 0.05), (w / 2 - 0.17, d / 2 - 0.22, seat), "bottom back left right")
    body += box((-w / 2 + 0.17, d / 2 - 0.22, seat), (w / 2 - 0.17, d / 2, top), "bottom back")
    for x in (-w / 2, w / 2 - 0.17):
        body += box((x, -d / 2, 0.05), (x + 0.17, d / 2, arm), "bottom back")
    cushions: list[Surface] = []
    each = (w - 0.34) / seats
    for place in range(seats):
        x = -w / 2 + 0.17 + place * each
        cushions += box(
            (x + 0.02, d / 2 - 0.34, seat + 0.02), (x + each - 0.02, d / 2 - 0.22, top - 0.08), "bottom back"
        )
    tint = np.clip(colour * rng.uniform(0.85, 1.15), 0, 1)
    return Item("sofa", [Part(body, colour), Part(cushions, tint)], w, d, top)


def cabinet(rng: Random) -> Item:
    """Return a closed cabinet or chest of drawers, with seams and handles."""
    tall = rng.uniform() < 0.4
    w, d = rng.uniform(0.6, 1.2), rng.uniform(0.38, 0.58)
    h = rng.uniform(1.5, 1.95) if tall else rng.uniform(0.6, 1.0)
    colour = draw(rng, {"wood": 0.45, "white": 0.25, "grey": 0.15, "cream": 0.15})
    return cabinet_of(rng, w, d, h, colour, rows=1 if tall else int(rng.integers(2, 4)))


def nightstand(rng: Random) -> Item:
    """Return a small cabinet."""
    size = rng.uniform(0.4, 0.5), rng.uniform(0.35, 0.45), rng.uniform(0.45, 0.6)
    return cabinet_of(rng, *size, draw(rng, WOODEN), rows=2)


def cabinet_of(
    rng: Random, w: float, d: float, h: float, colour: Array, rows: int, without: str = "bottom back"
) -> Item:
    """Return a cabinet of a given size and colour with a given number of rows of fronts."""
    body = box((-w / 2, -d / 2 + 0.02, 0), (w / 2, d / 2, h), without)
    middle = (0,) if w > 0.7 else ()
    edges = [-w / 2, *middle, w / 2]
    fronts: list[Surface] = []
    handles: list[Surface] = []
    for x0, x1 in itertools.pairwise(edges):
        fronts += drawers(x0, x1, -d / 2 + 0.01, 0.06, h - 0.03, rows)
        for row in range(rows):
            z = 0.06 + (row + 0.5) * (h - 0.09) / rows
            x = (x0 + x1) / 2
            handles += box((x - 0.06, -d / 2 - 0.01, z - 0.012), (x + 0.06, -d / 2 + 0.01, z + 0.012), "back")
    tint = np.clip(colour * rng.uniform(0.85, 1.1), 0, 1)
    return Item("cabinet", [Part(body, colour), Part(fronts, tint), Part(handles, draw(rng, METAL))], w, d + 0.02, h)


def bookshelf(rng: Random) -> Item:
    """Return an open shelf, partly filled with books."""
    w, d, h = rng.uniform(0.7, 1.2), rng.uniform(0.26, 0.36), rng.uniform(1.4, 2.0)
    wood = draw(rng, {"wood": 0.65, "white": 0.2, "dark": 0.15})
    boards = round(h / rng.uniform(0.32, 0.40))
    frame = box((-w / 2, -d / 2, 0), (-w / 2 + 0.03, d / 2, h), "bottom back")
    frame += box((w / 2 - 0.03, -d / 2, 0), (w / 2, d / 2, h), "bottom back")
    frame += [upright((-w / 2, d / 2 - 0.01, 0), w, h)]
    books: list[Surface] = []
    step = (h - 0.05) / boards
    for board in range(boards + 1):
        z = 0.02 + board * step
        frame += box((-w / 2 + 0.03, -d / 2, z), (w / 2 - 0.03, d / 2 - 0.01, z + 0.03), "left right back bottom")
        if board < boards and rng.uniform() < 0.8:
            end = rng.uniform(0.35, 1.0) * (w - 0.08) - w / 2 + 0.04
            top = z + 0.03 + rng.uniform(0.55, 0.85) * (step - 0.03)
            books += box((-w / 2 + 0.035, -d / 2 + 0.05, z + 0.03), (end, d / 2 - 0.02, top), "bottom back left")
    return Item("bookshelf", [Part(frame, wood), Part(books, wood, "books")], w, d, h)


def legs_of(w: float, d: float, h: float, thick: float) -> list[Surface]:
    """Return four legs below the corners of a plate."""
    legs: list[Surface] = []
    for x in (-w / 2, w / 2 - thick):
        for y in (-d / 2, d / 2 - thick):
            legs += box((x, y, 0), (x + thick, y + thick, h), "top bottom")
    return legs


def drawers(x0: float, x1: float, y: float, z0: float, z1: float, rows: int) -> list[Surface]:
    """Return the fronts of drawers or doors in a column, with gaps between them."""
    height = (z1 - z0) / rows
    across, up = np.array([x1 - x0 - 0.03, 0, 0]), np.array([0, 0, height - 0.03])
    return [Sheet(np.array([x0 + 0.015, y, z0 + row * height + 0.015]), across, up) for row in range(rows)]
