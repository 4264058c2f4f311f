"""Cells, results and durations in words."""

from typing import Any

from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.cells.units import OFFICIAL, eps_number, eps_text, number_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.tally import Tally

LONGEST_ACRONYM = 3
"""Names of gradients with at most this many letters are acronyms."""


def describe(cell: Cell) -> str:
    """Return a cell in words.

    >>> from lgm_bench.evaluation.cells.cell import AttackSpec, DataSpec, GradientSpec, VictimSpec
    >>> attack, gradient = AttackSpec("bim", 8 / 255, valid_pixels=0.05), GradientSpec("soft", slope=10.0)
    >>> describe(Cell(VictimSpec("dynconv20-cifar10"), DataSpec("cifar10"), attack, gradient))
    'dynconv20-cifar10 bim eps 8/255 5% pixels soft slope 10'
    """
    return f"{describe_setting(cell)} {describe_gradient(cell)}".strip()


def describe_setting(cell: Cell) -> str:
    """Return a cell in words, without its gradient."""
    attack, pixels = cell.attack, cell.attack.valid_pixels
    parts = [cell.victim.name, "targeted" if attack.targeted else "", attack.name, f"eps {eps_text(cell)}"]
    if pixels != 1:
        parts.append(f"{pixels:.3g} of the pixels" if pixels < 0.01 else f"{pixels:.0%} pixels")
    return " ".join(part for part in parts if part)


def describe_gradient(cell: Cell) -> str:
    """Return a cell's gradient and its settings in words; empty for an attack without a gradient."""
    if cell.gradient.name == NO_GRADIENT:
        return ""
    slope = "" if cell.gradient.slope is None else f" slope {cell.gradient.slope_text}"
    relation = "" if cell.gradient.relation in (None, "sigmoid") else f" {cell.gradient.relation}"
    return f"{gradient_name(cell.gradient.name)}{slope}{relation}"


def values_of(cell: Cell) -> dict[str, Any]:
    """Return every value of a cell by its name, with eps and step as text such as "8/255"."""
    values = cell.flat()
    return values | {name: number_text(cell, values[name]) for name in ("eps", "step") if values[name] is not None}


def gradient_name(name: str) -> str:
    """Return how a gradient method is printed: acronyms in capitals, other names as they are.

    >>> gradient_name("fgm"), gradient_name("straight-through")
    ('FGM', 'straight-through')
    """
    return name.upper() if len(name) <= LONGEST_ACRONYM else name


def unit_of_eps(result: CellResult) -> str:
    """Return the unit of eps: metres for scenes, radii of the unit sphere for shapes, 2/255 or none for images."""
    return result.kind.unit_of_eps or ("2/255" if result.cell.protocol == OFFICIAL else "")


def eps_label(result: CellResult) -> str:
    """Return the eps of a result with its unit, such as "8/255" or "0.02 m"."""
    unit = result.kind.unit_of_eps
    return f"{eps_number(result.cell)} {unit}" if unit else eps_text(result.cell)


def numbers(result: CellResult) -> str:
    """Return in one line the figures of a result that leaderboards compare."""
    figures = ((metric, result.metrics[metric.name]) for metric in result.kind.metrics if metric.tolerance)
    return "  ".join(f"{metric.label} {metric.text(value)}" for metric, value in figures if value is not None)


def when(result: CellResult) -> str:
    """Return when a result was completed, to the minute."""
    return result.finished_at[:16].replace("T", " ")


def score(running: Tally) -> str:
    """Return the main figure of a running cell so far; empty while there are no rows."""
    main = running.task.metric(running.task.main)
    value = main.figure(running.sums[main.name])
    return "" if value is None else f"{main.label} {main.text(value)}"


def time_left(seconds: float, done: float, remaining: float) -> str:
    """Return the estimated time for `remaining` items, given that `done` items took `seconds`.

    >>> time_left(60, 10, 20), time_left(1, 0, 5)
    ('2:00', '?')
    """
    return clock(seconds / done * remaining) if done > 0 else "?"


def clock(seconds: float) -> str:
    """Return a duration as m:ss, or as h:mm:ss from one hour on.

    >>> clock(59.6), clock(3661)
    ('1:00', '1:01:01')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def counted(count: int, what: str) -> str:
    """Return a number with its noun, in the plural where needed.

    >>> counted(1, "cell"), counted(2, "cell")
    ('1 cell', '2 cells')
    """
    return f"{count} {what}{'s' * (count != 1)}"
