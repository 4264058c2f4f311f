"""Tables VIII to X: the IoU of every class, a column for each gradient."""

from collections.abc import Sequence

from lgm_bench.evaluation.cells.paper import PaperTable
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.results.tables.table import CLEAN, Column, Entry, Table, in_variant_order

MEAN = "mean"
HEADER = "IoU"


def class_table(paper: PaperTable, results: Sequence[CellResult], notes: list[str]) -> Table:
    """Return a table with a row a class in the paper's order, classes that only we have behind."""
    entries: dict[tuple[str, Column], Entry] = {}
    for result in results:
        if result.classes is None or result.cell.paper is None:
            continue
        _, _, victim, variant = result.cell.paper
        for name, column in ((CLEAN, CLEAN), (variant, variant)):
            ious = class_ious(result, after=name != CLEAN)
            place = Column(result.cell.victim.name, column, HEADER)
            for row, iou in ious.items():
                entries[row, place] = Entry(iou, paper.number(row, victim, column, "iou"))
    rows = [row for row in paper.rows if any(key[0] == row for key in entries)]
    rows += [row for row in dict.fromkeys(row for row, _ in entries) if row not in rows]
    order = in_variant_order(column.variant for _, column in entries)
    columns = sorted({column for _, column in entries}, key=lambda c: (c.group, order.index(c.variant)))
    return Table(paper.name, paper.title, "class", rows, columns, entries, notes)


def class_ious(result: CellResult, *, after: bool) -> dict[str, float | None]:
    """Return the mean and every class's IoU in percent; without classes that are left out by definition or absent."""
    record = result.classes
    ious = () if record is None else record.iou if after else record.clean_iou
    names = () if record is None else record.names
    numbers = {name: 100 * iou for name, iou in zip(names, ious, strict=True) if iou is not None}
    return {MEAN: 100 * (result.left if after else result.clean), **numbers}
