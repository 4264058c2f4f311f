"""The numbers that the paper prints, for comparison with ours."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, RELATION, Cell
from lgm_bench.evaluation.cells.config import read_yaml
from lgm_bench.evaluation.cells.kinds import softens
from lgm_bench.evaluation.cells.units import paper_eps

ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI")


@dataclass(frozen=True)
class PaperTable:
    """One of the Tables I-XI of Tao et al. 2024.

    Attributes:
        name: "table_1" to "table_11".
        title: What the table shows, with the unit of its rows.
        layout: What rows and variants stand for. "eps": eps and gradient; "attack": attack and gradient; "slope": slope
            and eps; "relation": eps and relation; "attack and eps": eps and attack with gradient; "class": class and
            gradient.
        rows: Keys of the rows, in the printed order, such as "eps=1" or "bim 5%".
        columns: By victim, variant (such as "fgm" or "lgm-targeted") and metric: one number per row, in percent.
        unit: Unit of the numbers, where they are not percentages.
        clean: Accuracy or mIoU before any attack, by victim, in percent; empty if the table prints none.
    """

    name: str
    title: str
    layout: str
    rows: tuple[str, ...]
    columns: dict[str, dict[str, dict[str, list[float]]]]
    clean: dict[str, float] = field(default_factory=dict)
    unit: str = ""

    @property
    def metrics(self) -> frozenset[str]:
        """Names of the metrics that the table prints, as tasks name them; "iou" for classes."""
        return frozenset(
            name for variants in self.columns.values() for metrics in variants.values() for name in metrics
        )

    def number(self, row: str, victim: str, variant: str, metric: str) -> float | None:
        """Return one printed number, or None where the paper prints none."""
        column = self.columns.get(victim, {}).get(variant, {}).get(metric)
        return column[self.rows.index(row)] if column is not None and row in self.rows else None


@cache
def paper_tables() -> dict[str, PaperTable]:
    """Return the paper's tables by name.

    >>> paper_tables()["table_1"].number("eps=8", "dynconv32-cifar10", "lgm", "accuracy")
    5.05
    """
    source: dict[str, dict[str, Any]] = read_yaml(Path(__file__).with_name("paper.yaml"))
    return {name: PaperTable(name, **{**table, "rows": tuple(table["rows"])}) for name, table in source.items()}


def table_name(text: str) -> str:
    """Return the name of the table of the paper that a user means.

    Raises:
        ConfigError: The paper has no such table; its tables are 1 to 11.

    >>> table_name("4"), table_name("IV"), table_name("table_4")
    ('table_4', 'table_4', 'table_4')
    """
    number = text.lower().removeprefix("table").strip(" _")
    for place, roman in enumerate(ROMAN, start=1):
        if number in (str(place), roman.lower()):
            return f"table_{place}"
    known = [f"{place} ({roman})" for place, roman in enumerate(ROMAN, start=1)]
    raise ConfigError(f"unknown table {text!r}; the paper has {', '.join(known)}")


def place_in(table: str | None, cell: Cell, victim: str | None = None) -> tuple[str, ...] | None:
    """Return a cell's (table, row, victim, variant) in a table of the paper; None without a table.

    `victim` is the paper's victim whose numbers are printed beside the cell's; None stands for the cell's own.
    """
    if table is None:
        return None
    layout, attack, gradient = paper_tables()[table].layout, cell.attack, cell.gradient
    row, variant = f"eps={paper_eps(cell):g}", f"{gradient.name}-targeted" if attack.targeted else gradient.name
    if gradient.name == NO_GRADIENT:
        variant = attack.name
    elif layout == "attack":
        row = f"{attack.name} {attack.valid_pixels:.0%}"
    elif layout == "slope":
        row, variant = (
            f"slope={gradient.slope_text or 'released'}" if softens(gradient.name) else gradient.name.upper(),
            row,
        )
    elif layout == "relation" and softens(gradient.name):
        variant = gradient.relation or RELATION
    elif layout == "attack and eps":
        variant = f"{attack.name}-{gradient.name}"
    elif layout == "class":
        row = ""
    return (table, row, victim or cell.victim.name, variant)
