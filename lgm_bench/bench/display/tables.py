"""Results in the layout of the paper's tables, with the paper's number beside each of ours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lgm_bench.bench.cells.paper import PaperTable, paper_tables
from lgm_bench.bench.results.record import CellResult

CLEAN = "clean"
HEADERS = {"accuracy": "Acc.", "success": "Suc.", "architecture": "Arch. chg."}
METRICS = {"eps": ("accuracy", "architecture"), "attack": ("success", "architecture"), "": tuple(HEADERS)}
MOST_ROWS_NAMED = 3
VARIANTS = ("fgm", "fgm-targeted", "lgm", "lgm-targeted")


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


def build_tables(results: Iterable[CellResult]) -> list[Table]:
    """Return one table for each of the paper's that the results belong to, and one for those of no table."""
    by_table: dict[str, list[CellResult]] = {}
    for result in results:
        by_table.setdefault(result.cell.paper[0] if result.cell.paper else "", []).append(result)
    return [_build(name, found) for name, found in by_table.items()]


def measured(result: CellResult) -> dict[str, float | None]:
    """Return a result's metrics in percent, under the names that the paper's tables use here."""
    fractions = {
        "accuracy": result.accuracy,
        "success": result.success_rate,
        "architecture": result.architecture_change,
    }
    return {metric: None if value is None else 100 * value for metric, value in fractions.items()}


def paper_numbers(result: CellResult) -> dict[str, float | None]:
    """Return what the paper prints for a result's metrics; None where it prints nothing."""
    place = result.cell.paper
    table = paper_tables().get(place[0]) if place else None
    if place is None or table is None:
        return dict.fromkeys(HEADERS)
    return {metric: table.number(place[1], place[2], place[3], metric) for metric in HEADERS}


def _build(name: str, results: Sequence[CellResult]) -> Table:
    paper = paper_tables().get(name)
    layout = paper.layout if paper else ""
    sizes = {result.n_samples for result in results}
    entries: dict[tuple[str, Column], Entry] = {}
    for result in results:
        row, group, variant = _place(result)
        group = _free_group(entries, row, group, variant)
        size = result.n_samples if len(sizes) > 1 else None
        ours, printed = measured(result), paper_numbers(result)
        for metric in METRICS[layout]:
            if metric != "architecture" or result.architecture is not None:
                column = Column(group, variant, HEADERS[metric])
                entries[row, column] = Entry(ours[metric], printed[metric], size)
        if "accuracy" in METRICS[layout]:
            clean = paper.clean.get(group) if paper else None
            entries[CLEAN, Column(group, variant, HEADERS["accuracy"])] = Entry(
                100 * result.clean_accuracy, clean, size
            )
    title = paper.title if paper else "Results"
    rows, columns = _ordered(entries, paper)
    corner = {"eps": "eps", "attack": "attack"}.get(layout, "attack")
    return Table(name or "results", title, corner, rows, columns, entries, _notes(results, paper))


def _place(result: CellResult) -> tuple[str, str, str]:
    """Return (row, group, variant) of a result."""
    cell = result.cell
    if cell.paper:
        _, row, victim, variant = cell.paper
        return row, victim, variant
    pixels = "" if cell.valid_pixels == 1 else f" {cell.valid_pixels:.3%} pixels".replace(".000", "")
    variant = f"{cell.gradient}-targeted" if cell.targeted else cell.gradient
    return f"{cell.attack}{pixels} eps={cell.eps:g}", cell.victim, variant


def _free_group(entries: dict[tuple[str, Column], Entry], row: str, group: str, variant: str) -> str:
    """Return `group`, or "group #2" if a result of the same place was there first: no number hides another."""
    taken = {(r, c.group, c.variant) for r, c in entries}
    names = [group, *(f"{group} #{count}" for count in range(2, len(taken) + 3))]
    return next(name for name in names if (row, name, variant) not in taken)


def _ordered(entries: dict[tuple[str, Column], Entry], paper: PaperTable | None) -> tuple[list[str], list[Column]]:
    """Return rows and columns in the paper's order, what it does not have behind."""
    rows = list(dict.fromkeys(row for row, _ in entries))
    columns = list(dict.fromkeys(column for _, column in entries))
    groups = list(dict.fromkeys(column.group for column in columns))
    printed_rows = [CLEAN, *(paper.rows if paper else ())]
    printed_groups = list(paper.columns) if paper else []
    rows.sort(key=lambda row: _index(printed_rows, row))
    groups.sort(key=lambda group: _index(printed_groups, group))
    order = list(HEADERS.values())
    columns.sort(key=lambda c: (groups.index(c.group), _index(VARIANTS, c.variant), order.index(c.header)))
    return rows, columns


def _index(known: Sequence[str], name: str) -> int:
    return known.index(name) if name in known else len(known)


def _notes(results: Sequence[CellResult], paper: PaperTable | None) -> list[str]:
    printed = paper and any(number is not None for result in results for number in paper_numbers(result).values())
    notes = ["In percent; in brackets what the paper prints." if printed else "In percent."]
    sizes = sorted({(result.n_samples, result.cell.data, result.cell.subset) for result in results})
    first = "the first " if any(result.cell.limit is not None for result in results) else ""
    notes.append(f"Measured on {first}{', '.join(f'{n:,} {data} {subset} images' for n, data, subset in sizes)}.")
    protocols = sorted({result.cell.protocol for result in results})
    forwards = sorted({result.cell.forward for result in results if result.cell.gradient == "lgm"})
    seeds = sorted({str(result.cell.seed) for result in results})
    leaded = f"; LGM with {' and '.join(forwards)} forward" if forwards else ""
    notes.append(f"Protocol {' and '.join(protocols)}; seed {', '.join(seeds)}{leaded}.")
    groups = list(paper.columns) if paper else []
    return notes + _slope_notes(sorted(results, key=lambda result: _index(groups, _place(result)[1])))


def _slope_notes(results: Sequence[CellResult]) -> list[str]:
    """Return a sentence a victim: each slope with the rows that it was used for, the commonest one without them."""
    victims: dict[str, dict[float, list[str]]] = {}
    for result in results:
        if result.cell.slope is not None:
            row, group, variant = _place(result)
            rows = victims.setdefault(group, {}).setdefault(result.cell.slope, [])
            rows.append(f"{row} targeted" if variant.endswith("targeted") else row)
    notes = []
    for victim, slopes in victims.items():
        rest = max(slopes, key=lambda slope: len(slopes[slope]))
        rest = rest if len(slopes[rest]) > MOST_ROWS_NAMED else 0.0
        parts = [f"{slope:g} for {' and '.join(rows)}" for slope, rows in slopes.items() if slope != rest]
        parts += [f"{rest:g}{' otherwise' * bool(parts)}"] if rest else []
        notes.append(f"Slope for {victim}: {', '.join(parts)}.")
    return notes
