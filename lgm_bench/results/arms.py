"""Arms: cells that are alike but for the gradient, and which of them the others are compared with."""

from collections.abc import Iterable

from lgm_bench.evaluation.cells.cell import Cell

BASELINE = "fgm"
"""The gradient that others are compared with, where it is among them and their cells name no other."""
TUNED = ("step", "steps", "relation", "loss")
"""Settings that arms of one group may differ in: the released attacks on scenes choose them for each gradient."""


def baseline_of(cells: Iterable[Cell]) -> str:
    """Return the gradient that cells name as the one to compare with: the first that is named, else `BASELINE`."""
    return next((cell.baseline for cell in cells if cell.baseline), BASELINE)


def in_order(gradients: Iterable[str], baseline: str = BASELINE) -> list[str]:
    """Return the distinct gradients, the baseline first and the others as they come.

    >>> in_order(["lgm", "soft", "fgm", "lgm"])
    ['fgm', 'lgm', 'soft']
    """
    return sorted(dict.fromkeys(gradients), key=lambda name: name != baseline)


def without_gradient(cell: Cell) -> Cell:
    """Return what the cells of a group have in common: the cell without its gradient, `TUNED` and the paper's place."""
    return cell.without("gradient", "attack.step", "attack.steps", "attack.loss", "paper")
