"""Tables of results: the paper's, with its numbers beside ours, and one per data set for all other results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

import pandas as pd

from lgm_bench.attacks import GRADIENT_FREE
from lgm_bench.evaluation.cells.cell import NO_GRADIENT
from lgm_bench.evaluation.cells.paper import PaperTable, paper_tables
from lgm_bench.evaluation.cells.units import OFFICIAL
from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.results.caveats import caveat_notes
from lgm_bench.results.frame import TARGETED, lines_of
from lgm_bench.results.reading import BASELINE, Line, baseline_of, in_order
from lgm_bench.tasks.base import task_named
from lgm_bench.tasks.inputs import inputs_named
from lgm_bench.tasks.metric import Metric

CLEAN = "clean"
MOST_ROWS_NAMED = 3
OFFICIAL_UNIT = " (an eps of 1 is 2/255 of the intensity range)"
UNITS = {"m": "metres", "radii": "radii of the unit sphere"}
CORNERS = {"": "attack", "relation": "eps", "attack and eps": "eps"}
"""Heading of the row labels, by the layout of the paper's table; default: the name of the layout."""


@dataclass(frozen=True)
class Entry:
    """A measured number beside the paper's, in percent.

    Attributes:
        ours: Measured number; None if there is none.
        paper: Printed number; None if the paper has none.
        n_samples: Number of samples; None if it is the same throughout the table.
        best: Whether to highlight it as the best of its column.
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
    """A column: victim (`group`), gradient (`variant`) and measure (`header`)."""

    group: str
    variant: str
    header: str


@dataclass
class Table:
    """A table for `formats` to print.

    Attributes:
        name: Name for files, such as "table_1".
        title: What it shows.
        corner: Heading of the row labels.
        rows: Keys of the rows, in order.
        columns: Columns in order; those of one group are side by side.
        entries: Numbers by (row, column).
        notes: Sentences below the table.
        data: Names of the data sets of its cells.
    """

    name: str
    title: str
    corner: str
    rows: list[str]
    columns: list[Column]
    entries: dict[tuple[str, Column], Entry]
    notes: list[str] = field(default_factory=list)
    data: Sequence[str] = ()

    def entry(self, row: str, column: Column) -> Entry | None:
        """Return the entry at a row and column, or None."""
        return self.entries.get((row, column))

    def groups(self) -> dict[str, list[Column]]:
        """Return the columns by group, in order."""
        groups: dict[str, list[Column]] = {}
        for column in self.columns:
            groups.setdefault(column.group, []).append(column)
        return groups


def build_tables(frame: pd.DataFrame) -> list[Table]:
    """Return the paper's tables that the results belong to, and one per data set for all other results."""
    by_table: dict[str, list[Line]] = {}
    for line in lines_of(frame):
        by_table.setdefault(line["table"], []).append(line)
    return [
        _class_table(paper_tables()[name], lines)
        if name in paper_tables() and paper_tables()[name].layout == "class"
        else _table(name, paper_tables().get(name), lines)
        for name, lines in by_table.items()
    ]


def _table(name: str, paper: PaperTable | None, lines: Sequence[Line]) -> Table:
    several_sizes = len({line["n_samples"] for line in lines}) > 1
    entries: dict[tuple[str, Column], Entry] = {}
    for line in lines:
        task, variant = task_named(line["task"]), line["variant"]
        rows, size = _rows_of(line, lines), line["n_samples"] if several_sizes else None
        group = _free_group(entries, rows[0], line["victim"], variant)
        for row, metric in product(rows, _shown(line, paper)):
            ours, printed = metric.number(line[metric.name]), metric.number(line.get(f"paper_{metric.name}"))
            column = Column(group, variant, metric.heading)
            entries[row, column] = Entry(ours, printed, size)
            if metric.shown:
                entries[CLEAN, column] = Entry(task.metric(metric.before).number(line[metric.before]), None, size)
        main = task.metric(task.main)
        if not paper or main.name in paper.metrics:
            printed = paper.clean.get(line["paper_victim"]) if paper else None
            clean = Entry(main.number(line[main.before]), printed, size)
            entries[CLEAN, Column(group, variant, main.heading)] = clean
    known_rows = [CLEAN, *(paper.rows if paper else _plain_rows(lines))]
    known_groups = list(paper.columns) if paper else []
    rows = sorted(dict.fromkeys(row for row, _ in entries), key=lambda row: _place(known_rows, row))
    columns = _columns_in_order(entries, lines, known_groups)
    title = paper.title if paper else _title_of_data(lines[0])
    layout = paper.layout if paper else ""
    return Table(
        name,
        title,
        CORNERS.get(layout, layout),
        rows,
        columns,
        entries,
        _notes(lines, paper, entries.values()),
        _distinct(lines, "data"),
    )


def _class_table(paper: PaperTable, lines: Sequence[Line]) -> Table:
    """Return a table such as VIII to X, with a row per class: first in the paper's order, then our other classes."""
    entries: dict[tuple[str, Column], Entry] = {}
    for line in lines:
        task = task_named(line["task"])
        main = task.metric(task.main)
        for variant, prefix, mean in ((CLEAN, "clean_iou_", main.before), (line["variant"], "iou_", main.name)):
            ious = {name.removeprefix(prefix): iou for name, iou in line.items() if name.startswith(prefix)}
            for row, iou in {"mean": line[mean], **ious}.items() if ious else ():
                if iou is not None:  # None for a class that is left out or occurs nowhere
                    printed = paper.number(row, line["paper_victim"], variant, "iou")
                    entries[row, Column(line["victim"], variant, "IoU")] = Entry(100 * iou, printed)
    rows = sorted(dict.fromkeys(row for row, _ in entries), key=lambda row: _place(paper.rows, row))
    columns = _columns_in_order(entries, lines, sorted({line["victim"] for line in lines}))
    notes = _notes(lines, paper, entries.values())
    return Table(paper.name, paper.title, "class", rows, columns, entries, notes, _distinct(lines, "data"))


def _shown(line: Line, paper: PaperTable | None) -> list[Metric]:
    """Return the metrics of a result that a table shows: those of the paper's table, else those of leaderboards.

    Shares of the attacked samples repeat the shares of all, so only cells that are compared by them show them.
    """
    task = task_named(line["task"])
    decides = any(line[metric.name] is not None for metric in task.metrics if metric.per == "decisions")
    metrics = [metric for metric in task.metrics if metric.per != "decisions" or decides]
    if paper:
        return [metric for metric in metrics if metric.name in paper.metrics]
    compared = task.compared(targeted=line["targeted"])
    after = [
        metric
        for metric in metrics
        if (metric.tolerance and metric.name != task.metric(task.main).before)
        or (metric.shown and line[metric.name] is not None)
    ]
    return [metric for metric in after if metric.per != "attacked" or metric == compared]


def _free_group(entries: Iterable[tuple[str, Column]], row: str, group: str, variant: str) -> str:
    """Return `group`, or "group #2" and so on if its entry is taken, so that no number hides another."""
    taken = {(r, c.group, c.variant) for r, c in entries}
    names = [group, *(f"{group} #{count}" for count in range(2, len(taken) + 3))]
    return next(name for name in names if (row, name, variant) not in taken)


def _columns_in_order(
    entries: Iterable[tuple[str, Column]], lines: Sequence[Line], known_groups: Sequence[str]
) -> list[Column]:
    """Return the columns by group (known ones first), then variant (baseline first), then metric."""
    columns = list(dict.fromkeys(column for _, column in entries))
    groups = sorted(dict.fromkeys(column.group for column in columns), key=lambda group: _place(known_groups, group))
    variants = in_variant_order((column.variant for column in columns), baseline_of(line["baseline"] for line in lines))
    headings = ["IoU", *(metric.heading for line in lines for metric in task_named(line["task"]).metrics)]
    return sorted(columns, key=lambda c: (groups.index(c.group), variants.index(c.variant), headings.index(c.header)))


def in_variant_order(variants: Iterable[str], baseline: str = BASELINE) -> list[str]:
    """Return the distinct variants: clean, random, then each gradient, untargeted before targeted.

    >>> in_variant_order(["lgm-targeted", "random", "lgm", "clean"])
    ['clean', 'random', 'lgm', 'lgm-targeted']
    """
    distinct = list(dict.fromkeys(variants))
    gradients = in_order((variant.removesuffix(TARGETED) for variant in distinct), baseline)
    order = [CLEAN, *sorted(GRADIENT_FREE), *gradients]
    return sorted(distinct, key=lambda name: (order.index(name.removesuffix(TARGETED)), name.endswith(TARGETED)))


def variant_words(variant: str) -> str:
    """Return a column's variant in words: the gradient, preceded by the attack if a table has several.

    >>> variant_words("lgm-targeted"), variant_words("straight-through"), variant_words("knnpert-lgm")
    ('LGM, targeted', 'straight-through', 'knnpert, LGM')
    """
    name = variant.removesuffix(TARGETED)
    attack, _, gradient = name.rpartition("-")
    acronym = gradient_name(gradient)
    words = f"{attack}, {acronym}" if attack and acronym != gradient else gradient_name(name)
    return words + ", targeted" * variant.endswith(TARGETED)


def _place(known: Sequence[str], name: str) -> int:
    return known.index(name) if name in known else len(known)


def _rows_of(line: Line, lines: Sequence[Line]) -> list[str]:
    """Return the rows of a result in the table of `lines`.

    In the table of a data set, an attack without gradient has its own column and appears in the rows of all other
    attacks on the same victim with the same eps; if there are none, in its own row.
    """
    if line["paper_victim"] is not None or line["gradient"] != NO_GRADIENT:
        return [line["row"]]
    others = (
        other["row"]
        for other in lines
        if (other["victim"], other["eps"]) == (line["victim"], line["eps"]) and other["gradient"] != NO_GRADIENT
    )
    return list(dict.fromkeys(others)) or [line["row"]]


def _plain_rows(lines: Sequence[Line]) -> list[str]:
    """Return the rows in order: by attack as they come, then by share of pixels, then by eps."""
    attacks = list(dict.fromkeys(line["attack"] for line in lines))
    ordered = sorted(lines, key=lambda line: (attacks.index(line["attack"]), -line["valid_pixels"], line["eps"]))
    return list(dict.fromkeys(line["row"] for line in ordered))


def _title_of_data(line: Line) -> str:
    task = task_named(line["task"])
    unit = UNITS.get(task.unit_of_eps)
    return (
        f"{line['data']}: {task.metric(task.main).title} before and after attacks{f'; eps in {unit}' if unit else ''}"
    )


def _notes(lines: Sequence[Line], paper: PaperTable | None, entries: Iterable[Entry]) -> list[str]:
    unit = paper.unit if paper and paper.unit else "In percent"
    printed = any(entry.paper is not None for entry in entries)
    notes = [f"{unit}; in brackets the paper's numbers{_other_victims(lines)}." if printed else f"{unit}."]
    inputs = inputs_named(task_named(lines[0]["task"]).inputs)
    what = inputs.sample
    sizes = sorted({(line["n_samples"], line["data"], line["subset"], line["limit"] is not None) for line in lines})
    counted = (
        f"{'the ' * (n == 1 or limited)}{'first ' * limited}{f'{n:,} ' * (n > 1)}{data} {subset} {what}{'s' * (n > 1)}"
        for n, data, subset, limited in sizes
    )
    notes.append(f"Measured on {' and on '.join(counted)}.")
    protocols = [
        name + OFFICIAL_UNIT * (name == OFFICIAL and inputs.paper_unit != 1) for name in _distinct(lines, "protocol")
    ]
    notes.append(f"Protocol {' and '.join(protocols)}; seed {', '.join(map(str, _distinct(lines, 'seed')))}.")
    if not paper or paper.layout != "slope":
        groups = list(paper.columns) if paper else []
        notes += _slope_notes(sorted(lines, key=lambda line: _place(groups, line["victim"])))
    return notes + caveat_notes(lines)


def _distinct(lines: Sequence[Line], name: str) -> list[str]:
    return sorted({line[name] for line in lines})


def _other_victims(lines: Sequence[Line]) -> str:
    """Return the victims of the paper's numbers if they differ from the measured ones, else nothing."""
    others = {line["paper_victim"] for line in lines} - {line["victim"] for line in lines} - {None}
    return f" for {' and '.join(sorted(others))}" if others else ""


def _slope_notes(lines: Sequence[Line]) -> list[str]:
    """Return a sentence per victim: each slope with its rows, and the most frequent one as "otherwise"."""
    victims: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        if line["slope"] is not None:
            slope = line["slope"] if isinstance(line["slope"], str) else f"{line['slope']:g}"
            rows = victims.setdefault(line["victim"], {}).setdefault(slope, [])
            rows.append(line["row"] + " targeted" * line["targeted"])
    notes = []
    for victim, slopes in victims.items():
        usual = max(slopes, key=lambda slope: len(slopes[slope]))
        usual = usual if len(slopes) == 1 or len(slopes[usual]) > MOST_ROWS_NAMED else ""
        texts = [f"{slope} for {' and '.join(dict.fromkeys(rows))}" for slope, rows in slopes.items() if slope != usual]
        texts += [f"{usual}{' otherwise' * bool(texts)}"] if usual else []
        notes.append(f"Slope for {victim}: {', '.join(texts)}.")
    return notes
