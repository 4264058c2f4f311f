"""What the gates of a network decided for one image, before and after attacks, drawn by the shape of the decisions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from markupsafe import Markup

from lgm_bench.report.drawing import picture
from lgm_bench.report.templating import rendered
from lgm_bench.tasks.samples import GateRecord

ON, OFF = np.array((214, 48, 49)), np.array((41, 128, 216))
"""Colours of what an attack switched on and off."""
MOST_MASKS, FEW_MASKS, LARGEST_TILE = 9, 4, 64
"""Most masks in a picture, number up to which two and not three stand side by side, and edge of a mask in pixels."""
HUES = np.array([(47, 127, 208), (217, 119, 6), (58, 157, 93), (194, 65, 124), (122, 111, 240), (138, 109, 59)])
"""Colours of experts."""
MOST_OPTIONS = 8
"""Most exits or experts that are listed; of more, only those that were taken."""
CHANGES = (("#d63031", "switched on by the attack"), ("#2980d8", "switched off by the attack"))
States = Sequence[Sequence[GateRecord]]
"""What the gates decided before the attack, and after that of each arm."""


@dataclass(frozen=True)
class GateRow:
    """Decisions of one kind.

    Attributes:
        title: What they are.
        cells: A picture of them before the attack, and after that of each arm.
        legend: Colours and their meaning.
    """

    title: str
    cells: Sequence[Markup]
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Option:
    """One of several exits or experts.

    Attributes:
        number: Counted from 1.
        taken: Whether it was taken.
        score: Its score; None for the last exit, which has none.
        length: Length of the score's bar, 0 to 100.
        threshold: The value that the score must exceed; None if there is none.
        mark: Place of the threshold, 0 to 100.
    """

    number: int
    taken: bool
    score: float | None
    length: float
    threshold: float | None
    mark: float


def gate_rows(states: States, image: np.ndarray) -> list[GateRow]:
    """Return a row for each kind of decision that the gates made.

    Args:
        states: See `States`; units are compared with the unit of the same name before the attack.
        image: (H, W, 3) uint8, over which masks are laid.
    """
    by_name = [{record.name: record for record in records} for records in states]
    kinds: dict[Callable[..., list[GateRow]], list[str]] = {}
    for name, record in by_name[0].items():
        if all(name in state and state[name].occupancy.shape == record.occupancy.shape for state in by_name):
            kinds.setdefault(_drawn_as(record), []).append(name)
    rows = []
    for draw, names in kinds.items():
        rows += draw([[state[name] for name in names] for state in by_name], image)
    return rows


def _drawn_as(record: GateRecord) -> Callable[..., list[GateRow]]:
    """Return the function that draws such a decision."""
    decided = record.occupancy.squeeze()
    if record.chooses == "one":
        return _options if decided.ndim <= 1 else _choices
    if decided.ndim == 2 or (decided.ndim == 1 and record.chooses == "some" and _edge(len(decided))):
        return _masks
    return _bits


def _short(name: str) -> str:
    """Return the name of a unit inside the network that a victim of images normalizes for."""
    return name.removeprefix("network.")


def _edge(n: int) -> int:
    """Return the edge of a square of n tokens, or of n - 1 without a class token; 0 if they make none."""
    return next((math.isqrt(m) for m in (n, n - 1) if m >= 4 and math.isqrt(m) ** 2 == m), 0)


def _bits(states: States, _: np.ndarray) -> list[GateRow]:
    """Return one row with a square for each decision of all units."""
    names = [
        _short(record.name) if record.occupancy.numel() == 1 else f"{_short(record.name)}[{place}]"
        for record in states[0]
        for place in range(record.occupancy.numel())
    ]
    before, *after = [torch.cat([record.occupancy.flatten() for record in state]).tolist() for state in states]
    cells = [rendered("bits", bits=[(name, on, on) for name, on in zip(names, before, strict=True)], attacked=False)]
    for state in after:
        cells.append(rendered("bits", bits=list(zip(names, before, state, strict=True)), attacked=True))
    one_each = ", one for each unit" if len(names) == len(states[0]) else ""
    return [GateRow(f"{len(names)} decisions{one_each}", cells, CHANGES)]


def _masks(states: States, image: np.ndarray) -> list[GateRow]:
    """Return one row with masks over the image, of those units that change most, in the order of the forward pass."""
    before = states[0]
    changes = [sum(int((unit != other).sum()) for unit in units) for other, *units in _by_unit(states)]
    most = sorted(sorted(range(len(before)), key=lambda unit: -changes[unit])[:MOST_MASKS])
    tile = _fitted(image)
    cells = []
    for number, state in enumerate(states):
        pairs = [(_grid(before[unit]), _grid(state[unit])) for unit in most]
        on = torch.cat([new.flatten() for _, new in pairs])
        changed = sum(int((old != new).sum()) for old, new in pairs)
        words = f"{int(on.sum()):,} of {len(on):,}" + (f", {changed:,} changed" if number else "")
        alt = f"Masks of {', '.join(before[unit].name for unit in most)} over the image: {words}"
        sheet = _sheet([_overlaid(tile, old.numpy(), new.numpy()) for old, new in pairs])
        cells.append(Markup("{}<p>{}</p>").format(picture(sheet, alt, scale=2), words))
    kept = all(record.chooses == "some" for record in before)
    left_out = f", the {len(most)} that change most" if len(most) < len(before) else ""
    what = "Tokens kept" if kept else "Places computed"
    title = f"{what}: {len(before)} unit{'s' * (len(before) > 1)}{left_out}"
    return [GateRow(title, cells, (*CHANGES, ("#969696", "skipped")))]


def _options(states: States, _: np.ndarray) -> list[GateRow]:
    """Return a row for each unit that takes one of several exits or experts."""
    rows = []
    for records in zip(*states, strict=True):
        scores = torch.cat([torch.cat([record.score.flatten(), record.threshold.flatten()]) for record in records])
        scores = torch.cat([scores[scores.isfinite()], torch.zeros(1)])
        exits = records[0].score.numel() < records[0].occupancy.numel()
        low, high = float(scores.min()), max(float(scores.max()), 1e-9)
        places = [int(record.occupancy.flatten().int().argmax()) for record in records]
        n = records[0].occupancy.numel()
        listed = list(range(n)) if n <= MOST_OPTIONS else sorted(set(places))
        cells = []
        for record, place in zip(records, places, strict=True):
            options = [_option(record, number, (low, high), with_threshold=exits) for number in listed]
            what = f"{'exit' if exits else 'expert'} {place + 1} of {n}"
            cells.append(rendered("options", options=options, what=what, changed=place != places[0]))
        title = "Exits: confidence, and the threshold as a line" if exits else "Experts: score"
        legend = ("#d63031", f"another {'exit' if exits else 'expert'} than before the attack")
        rows.append(GateRow(f"{title} ({_short(records[0].name)})", cells, [legend]))
    return rows


def _option(record: GateRecord, number: int, limits: tuple[float, float], *, with_threshold: bool) -> Option:
    scores, thresholds = record.score.flatten().tolist(), record.threshold.flatten().tolist()
    low, high = limits

    def place(value: float) -> float:
        return 100 * min(max((value - low) / (high - low), 0.0), 1.0)

    score = scores[number] if number < len(scores) else None
    threshold = thresholds[number] if with_threshold and number < len(scores) else None
    return Option(
        number=number + 1,
        taken=bool(record.occupancy.flatten()[number]),
        score=score,
        length=0.0 if score is None else place(score),
        threshold=threshold,
        mark=0.0 if threshold is None else place(threshold),
    )


def _choices(states: States, image: np.ndarray) -> list[GateRow]:
    """Return a row for each unit that takes one of several for every token, in colours over the image."""
    rows = []
    for records in zip(*states, strict=True):
        before, *_ = experts = [record.occupancy.squeeze().int().argmax(-1).flatten() for record in records]
        edge, n = _edge(len(before)), records[0].occupancy.shape[-1]
        cells = []
        for chosen in experts:
            shares = torch.bincount(chosen, minlength=n).double() / len(chosen)
            changed = None if chosen is before else int((chosen != before).sum())
            shown = _coloured(image, chosen[-edge * edge :].view(edge, edge).numpy()) if edge else Markup("")
            parts = [(_hex(number), share) for number, share in enumerate(shares.tolist()) if share]
            cells.append(shown + rendered("shares", shares=parts, changed=changed, n=len(before)))
        rows.append(GateRow(f"Expert of each token, one of {n} ({_short(records[0].name)})", cells))
    return rows


def _coloured(image: np.ndarray, experts: np.ndarray) -> Markup:
    tile = _fitted(image)
    colours = _stretched(torch.from_numpy(HUES[experts % len(HUES)]).permute(2, 0, 1), tile.shape[:2])
    mixed = 0.45 * tile.mean(axis=2, keepdims=True) + 0.55 * colours.permute(1, 2, 0).numpy()
    return picture(mixed.astype(np.uint8), "The expert of each token, in colours over the image", scale=2)


def _hex(expert: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*HUES[expert % len(HUES)])


def _by_unit(states: States) -> list[tuple[torch.Tensor, ...]]:
    return [tuple(record.occupancy for record in records) for records in zip(*states, strict=True)]


def _grid(record: GateRecord) -> torch.Tensor:
    """Return the decisions of a mask, (h, w) bool; a class token is left out."""
    decided = record.occupancy.squeeze()
    if decided.ndim == 2:
        return decided
    edge = _edge(len(decided))
    return decided[-edge * edge :].view(edge, edge)


def _overlaid(tile: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return an image (h, w, 3) whose skipped places are pale grey, and whose changed places are coloured."""
    old, new = (
        _stretched(torch.from_numpy(mask)[None], tile.shape[:2])[0, ..., None].numpy() > 0 for mask in (before, after)
    )
    shown = np.where(new, tile, 0.15 * tile + 0.85 * 150)
    shown = np.where(new & ~old, 0.35 * tile + 0.65 * ON, shown)
    shown = np.where(old & ~new, 0.35 * tile + 0.65 * OFF, shown)
    return shown.astype(np.uint8)


def _stretched(grid: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return (C, h, w) at another size, each value as a rectangle."""
    return F.interpolate(grid[None].double(), size=size, mode="nearest")[0]


def _fitted(image: np.ndarray) -> np.ndarray:
    """Return an image at the size of a tile."""
    height, width = image.shape[:2]
    shrink = min(1.0, LARGEST_TILE / max(height, width))
    if shrink == 1.0:
        return image
    size = round(height * shrink), round(width * shrink)
    small = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None].double(), size=size, mode="area")[0]
    fitted: np.ndarray = small.permute(1, 2, 0).round().byte().numpy()
    return fitted


def _sheet(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Return tiles (h, w, 3) side by side with transparent gaps, (H, W, 4) uint8."""
    height, width = tiles[0].shape[:2]
    across = min(2 if len(tiles) <= FEW_MASKS else 3, len(tiles))
    down = -(-len(tiles) // across)
    sheet = np.zeros((down * (height + 2) - 2, across * (width + 2) - 2, 4), np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // across * (height + 2), number % across * (width + 2)
        sheet[top : top + height, left : left + width] = np.dstack([tile, np.full(tile.shape[:2], 255, np.uint8)])
    return sheet
