"""Results as tables: in the paper's layout, with its number beside each of ours, and else one for each data set."""

import re
from collections.abc import Iterable, Sequence
from itertools import product

from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.cells.kinds import takes_points
from lgm_bench.evaluation.cells.paper import PaperTable, paper_tables
from lgm_bench.evaluation.cells.units import OFFICIAL, eps_number, eps_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import unit_of_eps
from lgm_bench.results.arms import baseline_of
from lgm_bench.results.caveats import caveat_notes
from lgm_bench.results.tables.table import CLEAN, TARGETED, Column, Entry, Table, in_variant_order
from lgm_bench.tasks.metric import Metric

MOST_ROWS_NAMED = 3
OFFICIAL_UNIT = " (an eps of 1 is 2/255 of the intensity range)"

UNITS = {"m": "metres", "radii": "radii of the unit sphere"}


def build_tables(results: Iterable[CellResult]) -> list[Table]:
    """Return a table for each of the paper's that the results belong to, and one a data set for those of no table."""
    by_table: dict[str, list[CellResult]] = {}
    for result in results:
        by_table.setdefault(table_of(result.cell), []).append(result)
    return [_build(name, found) for name, found in by_table.items()]


def table_of(cell: Cell) -> str:
    """Return the name of the table that a cell's result stands in."""
    return cell.paper[0] if cell.paper else _name_of_data(cell.data.name)


def _in_percent(result: CellResult) -> dict[str, float | None]:
    """Return a result's figures by name, shares in percent."""
    return {metric.name: metric.number(result.metrics[metric.name]) for metric in result.kind.metrics}


def paper_numbers(result: CellResult) -> dict[str, float]:
    """Return what the paper prints for a result, by the names of its figures; shares in percent."""
    place = result.cell.paper
    table = paper_tables().get(place[0]) if place else None
    if place is None or table is None:
        return {}
    numbers = {metric.name: table.number(place[1], place[2], place[3], metric.name) for metric in result.kind.metrics}
    return {name: number for name, number in numbers.items() if number is not None}


def _build(name: str, results: Sequence[CellResult]) -> Table:
    paper = paper_tables().get(name)
    layout = paper.layout if paper else ""
    if paper and layout == "class":
        return _class_table(paper, results, _notes(results, paper))
    sizes = {result.n_samples for result in results}
    entries: dict[tuple[str, Column], Entry] = {}
    for result in results:
        rows, group, variant = _rows_of(result, results), *_place(result)[1:]
        group = _free_group(entries, rows[0], group, variant)
        size = result.n_samples if len(sizes) > 1 else None
        ours, printed = _in_percent(result), paper_numbers(result)
        for row, metric in product(rows, _shown(result, paper)):
            column = Column(group, variant, metric.heading)
            entries[row, column] = Entry(ours[metric.name], printed.get(metric.name), size)
        if not paper or result.main.name in paper.metrics:
            clean = paper.clean.get(result.cell.paper[2]) if paper and result.cell.paper else None
            entries[CLEAN, Column(group, variant, result.main.heading)] = Entry(ours[result.main.before], clean, size)
    order = paper.rows if paper else _plain_rows(results)
    headings = [metric.heading for result in results for metric in result.kind.metrics]
    groups, baseline = list(paper.columns) if paper else [], baseline_of(result.cell for result in results)
    rows, columns = _ordered(entries, order, groups, headings, baseline)
    corner = {"": "attack", "relation": "eps", "attack and eps": "eps"}.get(layout, layout)
    return Table(
        name, paper.title if paper else _title_of_data(results), corner, rows, columns, entries, _notes(results, paper)
    )


def _class_table(paper: PaperTable, results: Sequence[CellResult], notes: list[str]) -> Table:
    """Return a table such as VIII to X: a row a class in the paper's order, classes that only we have behind."""
    entries: dict[tuple[str, Column], Entry] = {}
    for result in results:
        if result.classes is None or result.cell.paper is None:
            continue
        _, _, victim, variant = result.cell.paper
        for name, column in ((CLEAN, CLEAN), (variant, variant)):
            ious = _class_ious(result, after=name != CLEAN)
            place = Column(result.cell.victim.name, column, "IoU")
            for row, iou in ious.items():
                entries[row, place] = Entry(iou, paper.number(row, victim, column, "iou"))
    rows = [row for row in paper.rows if any(key[0] == row for key in entries)]
    rows += [row for row in dict.fromkeys(row for row, _ in entries) if row not in rows]
    order = in_variant_order((column.variant for _, column in entries), baseline_of(one.cell for one in results))
    columns = sorted({column for _, column in entries}, key=lambda c: (c.group, order.index(c.variant)))
    return Table(paper.name, paper.title, "class", rows, columns, entries, notes)


def _class_ious(result: CellResult, *, after: bool) -> dict[str, float | None]:
    """Return the mean and every class's IoU in percent; without classes that are left out by definition or absent."""
    record = result.classes
    ious = () if record is None else record.iou if after else record.clean_iou
    names = () if record is None else record.names
    numbers = {name: 100 * iou for name, iou in zip(names, ious, strict=True) if iou is not None}
    return {"mean": 100 * (result.left if after else result.clean), **numbers}


def _place(result: CellResult) -> tuple[str, str, str]:
    """Return (row, group, variant) of a result."""
    cell = result.cell
    if cell.paper:
        _, row, _, variant = cell.paper
        return row, cell.victim.name, variant
    return _plain_place(cell)


def _shown(result: CellResult, paper: PaperTable | None) -> list[Metric]:
    """Return those of a result's figures that a table shows: what the paper prints there, else what leaderboards have.

    Shares of the attacked say what the shares of all say, so that they are for cells that are compared by them.
    """
    metrics = [one for one in result.kind.metrics if one.per != "decisions" or result.units is not None]
    if paper:
        return [one for one in metrics if one.name in paper.metrics]
    after = [one for one in metrics if one.tolerance and one.name != result.main.before]
    return [one for one in after if one.per != "attacked" or one == result.compared]


def _free_group(entries: dict[tuple[str, Column], Entry], row: str, group: str, variant: str) -> str:
    """Return `group`, or "group #2" if a result of the same place was there first: no number hides another."""
    taken = {(r, c.group, c.variant) for r, c in entries}
    names = [group, *(f"{group} #{count}" for count in range(2, len(taken) + 3))]
    return next(name for name in names if (row, name, variant) not in taken)


def _ordered(
    entries: dict[tuple[str, Column], Entry],
    known_rows: Sequence[str],
    known_groups: Sequence[str],
    headings: Sequence[str],
    baseline: str,
) -> tuple[list[str], list[Column]]:
    """Return rows and columns in a known order, what it does not have behind."""
    rows = list(dict.fromkeys(row for row, _ in entries))
    columns = list(dict.fromkeys(column for _, column in entries))
    groups = list(dict.fromkeys(column.group for column in columns))
    rows.sort(key=lambda row: _index([CLEAN, *known_rows], row))
    groups.sort(key=lambda group: _index(known_groups, group))
    variants = in_variant_order((column.variant for column in columns), baseline)
    columns.sort(key=lambda c: (groups.index(c.group), variants.index(c.variant), headings.index(c.header)))
    return rows, columns


def _index(known: Sequence[str], name: str) -> int:
    return known.index(name) if name in known else len(known)


def _notes(results: Sequence[CellResult], paper: PaperTable | None) -> list[str]:
    printed = paper and any(map(paper_numbers, results))
    unit = f"{paper.unit}" if paper and paper.unit else "In percent"
    notes = [f"{unit}; in brackets what the paper prints{_other_victims(results)}." if printed else f"{unit}."]
    sizes = sorted({(result.n_samples, result.cell.data.name, result.cell.data.subset) for result in results})
    first = "the first " if any(result.cell.data.limit is not None for result in results) else ""
    first = first or "the " * (sizes[0][0] == 1)
    points = any(result.kind.inputs == "points" for result in results)
    what = "point cloud" if points else "image"
    counted = (f"{n:,} {data} {subset} {what}s" if n != 1 else f"{data} {subset} {what}" for n, data, subset in sizes)
    notes.append(f"Measured on {first}{', '.join(counted)}.")
    protocols = sorted({result.cell.protocol for result in results})
    protocols = [name + OFFICIAL_UNIT * (name == OFFICIAL and not points) for name in protocols]
    seeds = sorted({str(result.cell.attack.seed) for result in results})
    notes.append(f"Protocol {' and '.join(protocols)}; seed {', '.join(seeds)}.")
    if paper and paper.layout == "slope":
        return notes + caveat_notes(results)
    groups = list(paper.columns) if paper else []
    slopes = _slope_notes(sorted(results, key=lambda result: _index(groups, _place(result)[1])))
    return notes + slopes + caveat_notes(results)


def _other_victims(results: Sequence[CellResult]) -> str:
    """Return for which victims the paper's numbers are, where they are not for the ones measured."""
    others = {result.cell.paper[2] for result in results if result.cell.paper} - {r.cell.victim.name for r in results}
    return f" for {' and '.join(sorted(others))}" if others else ""


def _slope_notes(results: Sequence[CellResult]) -> list[str]:
    """Return a sentence a victim: each slope with the rows that it was used for, the commonest one without them."""
    victims: dict[str, dict[str, list[str]]] = {}
    for result in results:
        if result.cell.gradient.slope_text:
            row, group, variant = _place(result)
            rows = victims.setdefault(group, {}).setdefault(result.cell.gradient.slope_text, [])
            rows.append(f"{row} targeted" if variant.endswith("targeted") else row)
    notes = []
    for victim, slopes in victims.items():
        rest = max(slopes, key=lambda slope: len(slopes[slope]))
        rest = rest if len(slopes) == 1 or len(slopes[rest]) > MOST_ROWS_NAMED else ""
        parts = [f"{slope} for {' and '.join(dict.fromkeys(rows))}" for slope, rows in slopes.items() if slope != rest]
        parts += [f"{rest}{' otherwise' * bool(parts)}"] if rest else []
        notes.append(f"Slope for {victim}: {', '.join(parts)}.")
    return notes


def _name_of_data(data: str) -> str:
    """Return the name of a data set's table, which is that of its files.

    >>> _name_of_data("my_data:Cats")
    'results-my_data-Cats'
    """
    return f"results-{re.sub(r'[^A-Za-z0-9._-]+', '-', data)}"


def _title_of_data(results: Sequence[CellResult]) -> str:
    """Return the title of the table of one data set's results."""
    first = results[0]
    unit = UNITS.get(unit_of_eps(first))
    return f"{first.cell.data.name}: {first.main.title} before and after attacks{f'; eps in {unit}' if unit else ''}"


def _plain_place(cell: Cell) -> tuple[str, str, str]:
    """Return (row, victim, variant) of a cell.

    >>> from lgm_bench.evaluation.cells.cell import AttackSpec, DataSpec, GradientSpec, VictimSpec
    >>> attack, gradient = AttackSpec("bim", 8 / 255, valid_pixels=0.05), GradientSpec("soft")
    >>> _plain_place(Cell(VictimSpec("dynconv8-mini"), DataSpec("digits"), attack, gradient))
    ('bim 5% pixels eps=8/255', 'dynconv8-mini', 'soft')
    """
    pixels = "" if cell.attack.valid_pixels == 1 else f" {cell.attack.valid_pixels:.3%} pixels".replace(".000", "")
    variant = cell.gradient.name + TARGETED * cell.attack.targeted
    eps = eps_number(cell) if takes_points(cell.attack.name) else eps_text(cell)
    row = f"{cell.attack.name}{pixels} eps={eps}"
    return row, cell.victim.name, cell.attack.name if cell.gradient.name == NO_GRADIENT else variant


def _rows_of(result: CellResult, results: Sequence[CellResult]) -> list[str]:
    """Return the rows that a result stands in, of the table that `results` make up.

    An attack that follows no gradient is what the others are compared with: it stands in a column of its own, in the
    rows of all attacks on its victim with its eps, and in a row of its own only where there are none.
    """
    cell = result.cell
    if cell.paper:
        return [cell.paper[1]]
    own = _plain_place(cell)[0]
    if cell.gradient.name != NO_GRADIENT:
        return [own]
    others = (other.cell for other in results)
    compared = (
        _plain_place(other)[0]
        for other in others
        if (other.victim.name, other.attack.eps) == (cell.victim.name, cell.attack.eps)
        and other.gradient.name != NO_GRADIENT
    )
    return list(dict.fromkeys(compared)) or [own]


def _plain_rows(results: Sequence[CellResult]) -> list[str]:
    """Return the rows in order: attack by attack as they come, each by its share of pixels and then by eps."""
    attacks = list(dict.fromkeys(result.cell.attack.name for result in results))
    cells = [result.cell for result in results]
    cells.sort(key=lambda cell: (attacks.index(cell.attack.name), -cell.attack.valid_pixels, cell.attack.eps))
    return list(dict.fromkeys(_plain_place(cell)[0] for cell in cells))
