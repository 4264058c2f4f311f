"""Results that belong to no table of the paper: a table for each data set, with a row for each attack and eps."""

import re
from collections.abc import Sequence

from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.cells.kinds import takes_points
from lgm_bench.evaluation.cells.units import eps_number, eps_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import unit_of_eps
from lgm_bench.results.tables.table import TARGETED

UNITS = {"m": "metres", "radii": "radii of the unit sphere"}


def name_of_data(data: str) -> str:
    """Return the name of a data set's table, which is that of its files.

    >>> name_of_data("my_data:Cats")
    'results-my_data-Cats'
    """
    return f"results-{re.sub(r'[^A-Za-z0-9._-]+', '-', data)}"


def title_of_data(results: Sequence[CellResult]) -> str:
    """Return the title of the table of one data set's results."""
    first = results[0]
    unit = UNITS.get(unit_of_eps(first))
    return f"{first.cell.data.name}: {first.main.title} before and after attacks{f'; eps in {unit}' if unit else ''}"


def plain_place(cell: Cell) -> tuple[str, str, str]:
    """Return (row, victim, variant) of a cell.

    >>> from lgm_bench.evaluation.cells.cell import AttackSpec, DataSpec, GradientSpec, VictimSpec
    >>> attack, gradient = AttackSpec("bim", 8 / 255, valid_pixels=0.05), GradientSpec("soft")
    >>> plain_place(Cell(VictimSpec("dynconv8-mini"), DataSpec("digits"), attack, gradient))
    ('bim 5% pixels eps=8/255', 'dynconv8-mini', 'soft')
    """
    pixels = "" if cell.attack.valid_pixels == 1 else f" {cell.attack.valid_pixels:.3%} pixels".replace(".000", "")
    variant = cell.gradient.name + TARGETED * cell.attack.targeted
    eps = eps_number(cell) if takes_points(cell.attack.name) else eps_text(cell)
    row = f"{cell.attack.name}{pixels} eps={eps}"
    return row, cell.victim.name, cell.attack.name if cell.gradient.name == NO_GRADIENT else variant


def rows_of(result: CellResult, results: Sequence[CellResult]) -> list[str]:
    """Return the rows that a result stands in, of the table that `results` make up.

    An attack that follows no gradient is what the others are compared with: it stands in a column of its own, in the
    rows of all attacks on its victim with its eps, and in a row of its own only where there are none.
    """
    cell = result.cell
    if cell.paper:
        return [cell.paper[1]]
    own = plain_place(cell)[0]
    if cell.gradient.name != NO_GRADIENT:
        return [own]
    others = (other.cell for other in results)
    compared = (
        plain_place(other)[0]
        for other in others
        if (other.victim.name, other.attack.eps) == (cell.victim.name, cell.attack.eps)
        and other.gradient.name != NO_GRADIENT
    )
    return list(dict.fromkeys(compared)) or [own]


def plain_rows(results: Sequence[CellResult]) -> list[str]:
    """Return the rows in order: attack by attack as they come, each by its share of pixels and then by eps."""
    attacks = list(dict.fromkeys(result.cell.attack.name for result in results))
    cells = [result.cell for result in results]
    cells.sort(key=lambda cell: (attacks.index(cell.attack.name), -cell.attack.valid_pixels, cell.attack.eps))
    return list(dict.fromkeys(plain_place(cell)[0] for cell in cells))
