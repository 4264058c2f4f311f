"""A table of numbers of ours and the paper's, ready to be printed."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lgm_bench.attacks import GRADIENT_FREE
from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.results.arms import BASELINE, in_order

CLEAN, TARGETED = "clean", "-targeted"


def in_variant_order(variants: Iterable[str], baseline: str = BASELINE) -> list[str]:
    """Return the distinct variants: clean and random first, then gradient by gradient, each untargeted before targeted.

    >>> in_variant_order(["lgm-targeted", "random", "lgm", "clean"])
    ['clean', 'random', 'lgm', 'lgm-targeted']
    """
    distinct = list(dict.fromkeys(variants))
    gradients = in_order((variant.removesuffix(TARGETED) for variant in distinct), baseline)
    order = [CLEAN, *GRADIENT_FREE, *gradients]
    return sorted(distinct, key=lambda name: (order.index(name.removesuffix(TARGETED)), name.endswith(TARGETED)))


def variant_words(variant: str) -> str:
    """Return a column's variant in words: a gradient, with the attack before it where a table has several.

    >>> variant_words("lgm-targeted"), variant_words("straight-through"), variant_words("knnpert-lgm")
    ('LGM, targeted', 'straight-through', 'knnpert, LGM')
    """
    name = variant.removesuffix(TARGETED)
    attack, _, gradient = name.rpartition("-")
    acronym = gradient_name(gradient)
    words = f"{attack}, {acronym}" if attack and acronym != gradient else gradient_name(name)
    return words + ", targeted" * variant.endswith(TARGETED)


@dataclass(frozen=True)
class Entry:
    """One number of ours and the paper's for the same thing, in percent.

    Attributes:
        ours: Measured; None where nothing was measured.
        paper: Printed; None where the paper prints none.
        n_samples: Images measured on, where that is not the same all over the table.
        best: Whether it stands out as the best of its column.
    """

    ours: float | None
    paper: float | None = None
    n_samples: int | None = None
    best: bool = False

    def __str__(self) -> str:
        text = "–" if self.ours is None else f"{self.ours:.2f}"
        text += "" if self.paper is None else f" ({self.paper:.2f})"
        return text + ("" if self.n_samples is None else f" n={self.n_samples}")


@dataclass(frozen=True)
class Column:
    """A column: its victim, the gradient it was attacked with, and what is measured."""

    group: str
    variant: str
    header: str


@dataclass
class Table:
    """A table ready to be printed.

    Attributes:
        name: Such as "table_1"; file names derive from it.
        title: What it shows.
        corner: What a row stands for.
        rows: Keys of the rows, in order.
        columns: In order; columns of one group stand side by side.
        entries: (row, column) to number.
        notes: Sentences below the table.
    """

    name: str
    title: str
    corner: str
    rows: list[str]
    columns: list[Column]
    entries: dict[tuple[str, Column], Entry]
    notes: list[str] = field(default_factory=list)

    def entry(self, row: str, column: Column) -> Entry | None:
        """Return what stands at a place, or None."""
        return self.entries.get((row, column))

    def groups(self) -> dict[str, list[Column]]:
        """Return the columns by group, in order."""
        found: dict[str, list[Column]] = {}
        for column in self.columns:
            found.setdefault(column.group, []).append(column)
        return found
