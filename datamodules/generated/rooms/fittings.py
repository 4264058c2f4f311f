"""Kitchen and bathroom fittings, and small objects."""

import numpy as np

from datamodules.generated.rooms.colours import draw
from datamodules.generated.rooms.furniture import METAL, Random, cabinet_of
from datamodules.generated.rooms.surfaces import Item, Part, Surface, Tube, box, disc, level, upright

CERAMIC = {"white": 0.85, "cream": 0.15}


def refrigerator(rng: Random) -> Item:
    """Return a refrigerator with a freezer door and handles."""
    w, d, h = rng.uniform(0.55, 0.75), rng.uniform(0.58, 0.72), rng.uniform(1.4, 1.8)
    colour = draw(rng, {"white": 0.55, "steel": 0.35, "dark": 0.1})
    split = h * rng.uniform(0.6, 0.72)
    body = box((-w / 2, -d / 2 + 0.06, 0), (w / 2, d / 2, h), "bottom back")
    doors = box((-w / 2, -d / 2 + 0.03, 0.05), (w / 2, -d / 2 + 0.06, split - 0.01), "back")
    doors += box((-w / 2, -d / 2 + 0.03, split + 0.01), (w / 2, -d / 2 + 0.06, h), "back")
    handles = box((w / 2 - 0.09, -d / 2, split - 0.40), (w / 2 - 0.05, -d / 2 + 0.03, split - 0.06), "back")
    handles += box((w / 2 - 0.09, -d / 2, split + 0.05), (w / 2 - 0.05, -d / 2 + 0.03, split + 0.25), "back")
    return Item("refrigerator", [Part(body, colour), Part(doors, colour), Part(handles, draw(rng, METAL))], w, d, h)


def kitchen(rng: Random) -> list[Item]:
    """Return a cabinet, the counter on top of it and the sink in the counter, all in the same frame."""
    w, d, h = rng.uniform(1.4, 2.1), rng.uniform(0.58, 0.65), rng.uniform(0.86, 0.93)
    front = draw(rng, {"wood": 0.4, "white": 0.3, "cream": 0.15, "grey": 0.15})
    below = cabinet_of(rng, w, d - 0.04, h - 0.04, front, rows=1, without="bottom back top")
    x, half, deep = rng.uniform(-w / 4, w / 4), 0.25, 0.18

    def outside(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return (np.abs(s - w / 2 - x) > half) | (np.abs(t - d / 2) > 0.19)

    stone = draw(rng, {"grey": 0.35, "dark": 0.25, "wood": 0.2, "cream": 0.2})
    top: list[Surface] = [*box((-w / 2, -d / 2, h - 0.04), (w / 2, d / 2, h), "top back")]
    top += [level((-w / 2, -d / 2, h), w, d, outside)]
    splash = [upright((-w / 2, d / 2 - 0.02, h), w, 0.12)]
    basin = _basin(x - half, x + half, -0.19, 0.19, h, deep)
    tap: list[Surface] = [Tube(np.array([x, 0.23, h]), (0.02, 0.02), 0.22)]
    tap += box((x - 0.015, 0.06, h + 0.20), (x + 0.015, 0.23, h + 0.23))
    steel = draw(rng, {"steel": 0.8, "white": 0.2})
    return [
        below._replace(width=w, depth=d, height=h),
        Item("counter", [Part(top, stone), Part(splash, stone)], w, d, h),
        Item("sink", [Part([*basin, *tap], steel)], w, d, h),
    ]


def washbasin(rng: Random) -> Item:
    """Return a basin on a pedestal, with a tap."""
    w, d, h = rng.uniform(0.48, 0.62), rng.uniform(0.42, 0.5), rng.uniform(0.80, 0.88)
    rim = disc((0, 0, h), (w / 2, d / 2), hole=0.8)
    shell: list[Surface] = [rim, Tube(np.array([0, 0, h - 0.16]), (w / 3.2, d / 3.2), 0.16, top=1.6)]
    shell += [Tube(np.array([0, 0, h - 0.12]), (w / 4, d / 4), 0.12, top=1.6), disc((0, 0, h - 0.12), (w / 4, d / 4))]
    shell += [Tube(np.zeros(3), (0.10, 0.10), h - 0.16, top=0.8)]
    tap: list[Surface] = [Tube(np.array([0, d / 2 - 0.04, h]), (0.02, 0.02), 0.12)]
    tap += box((-0.015, 0.04, h + 0.10), (0.015, d / 2 - 0.03, h + 0.13))
    return Item("sink", [Part(shell, draw(rng, CERAMIC)), Part(tap, draw(rng, METAL))], w, d, h + 0.13)


def toilet(rng: Random) -> Item:
    """Return a toilet: foot, bowl, lid and cistern."""
    w, d, seat, h = rng.uniform(0.36, 0.42), rng.uniform(0.62, 0.72), rng.uniform(0.39, 0.44), rng.uniform(0.74, 0.85)
    length, tank = d - 0.2, 0.19
    y = -d / 2 + length / 2
    body: list[Surface] = [Tube(np.array([0, y, 0]), (w / 2 * 0.6, length / 2 * 0.6), seat - 0.04, top=1.6)]
    lid: list[Surface] = [
        disc((0, y, seat), (w / 2, length / 2)),
        Tube(np.array([0, y, seat - 0.04]), (w / 2, length / 2), 0.04),
    ]
    body += box((-w / 2, d / 2 - tank, seat - 0.05), (w / 2, d / 2, h), "back")
    colour = draw(rng, CERAMIC)
    cover = colour if rng.uniform() < 0.7 else draw(rng, {"wood": 0.5, "dark": 0.5})
    return Item("toilet", [Part(body, colour), Part(lid, cover)], w, d, h)


def bathtub(rng: Random) -> Item:
    """Return a bathtub with its back along the wall."""
    w, d, h = rng.uniform(1.45, 1.7), rng.uniform(0.68, 0.78), rng.uniform(0.50, 0.60)
    rim, deep = 0.07, 0.40

    def on_rim(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return (np.minimum(s, w - s) < rim) | (np.minimum(t, d - t) < rim)

    shell: list[Surface] = [*box((-w / 2, -d / 2, 0), (w / 2, d / 2, h), "top bottom back")]
    shell += [level((-w / 2, -d / 2, h), w, d, on_rim)]
    shell += _basin(-w / 2 + rim, w / 2 - rim, -d / 2 + rim, d / 2 - rim, h, deep)
    return Item("bathtub", [Part(shell, draw(rng, CERAMIC))], w, d, h)


def shower_curtain(rng: Random, w: float) -> Item:
    """Return a curtain at the front of a bathtub of width `w`, drawn to one side."""
    share, side = rng.uniform(0.4, 0.6), rng.choice([-1, 1])
    x = sorted((side * w / 2, side * (w / 2 - share * w)))
    colour = draw(rng, {"white": 0.35, "paint": 0.35, "fabric": 0.3})
    texture = "stripes" if rng.uniform() < 0.3 else "plain"
    low, high = rng.uniform(0.62, 0.7), rng.uniform(1.85, 2.0)
    cloth = upright((x[0], 0, low), x[1] - x[0], high - low, None, (0.035, 0.16))
    return Item("shower curtain", [Part([cloth], colour, texture)], w, 0.08, high)


def bin_(rng: Random) -> Item:
    """Return a waste bin."""
    r, h = rng.uniform(0.13, 0.18), rng.uniform(0.28, 0.42)
    wall = Tube(np.zeros(3), (r * 0.8, r * 0.8), h, top=1.25)
    colour = draw(rng, {"dark": 0.35, "grey": 0.25, "vivid": 0.2, "white": 0.2})
    return Item("bin", [Part([wall, disc((0, 0, 0.03), (r * 0.8, r * 0.8))], colour)], 2 * r, 2 * r, h)


def lamp(rng: Random) -> Item:
    """Return a floor lamp."""
    r, h = rng.uniform(0.16, 0.22), rng.uniform(1.4, 1.7)
    stand: list[Surface] = [disc((0, 0, 0.03), (0.14, 0.14)), Tube(np.zeros(3), (0.02, 0.02), h - 0.25)]
    shade = [Tube(np.array([0, 0, h - 0.28]), (r, r), 0.28, top=0.7)]
    return Item(
        "lamp", [Part(stand, draw(rng, METAL)), Part(shade, draw(rng, {"cream": 0.6, "white": 0.4}))], 2 * r, 2 * r, h
    )


def carton(rng: Random) -> Item:
    """Return a box of cardboard or plastic."""
    w, d, h = rng.uniform(0.25, 0.5), rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.45)
    colour = draw(rng, {"wood": 0.5, "vivid": 0.25, "grey": 0.25})
    return Item("box", [Part(box((-w / 2, -d / 2, 0), (w / 2, d / 2, h), "bottom"), colour)], w, d, h)


def monitor(rng: Random, h: float) -> Item:
    """Return a screen that stands `h` metres above the floor."""
    w, up = rng.uniform(0.42, 0.6), rng.uniform(0.28, 0.36)
    parts = box((-w / 2, -0.02, h + 0.1), (w / 2, 0.02, h + 0.1 + up))
    parts += box((-0.03, -0.01, h), (0.03, 0.02, h + 0.1), "top bottom")
    parts += [disc((0, 0, h + 0.015), (0.12, 0.09))]
    return Item("monitor", [Part(parts, draw(rng, {"dark": 0.85, "steel": 0.15}))], w, 0.18, h + 0.1 + up)


def pillow(rng: Random, w: float, h: float) -> Item:
    """Return a pillow for a bed of width `w`; it lies `h` metres above the floor."""
    x, y = w * rng.uniform(0.30, 0.36), rng.uniform(0.16, 0.2)
    colour = draw(rng, {"white": 0.5, "fabric": 0.5})
    parts = box((-x, -y, h + 0.01), (x, y, h + 0.11), "bottom")
    return Item("pillow", [Part(parts, colour)], 2 * x, 2 * y, h + 0.11)


def _basin(x0: float, x1: float, y0: float, y1: float, top: float, deep: float) -> list[Surface]:
    hollow = box((x0, y0, top - deep), (x1, y1, top), "top bottom")
    floor = level((x0, y0, top - deep), x1 - x0, y1 - y0)
    return [*hollow, floor]
