"""Missing data sets and checkpoints in words: where to get them, where to put them, which cells need them."""

import textwrap
from collections.abc import Iterator, Sequence

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.paper import ROMAN
from lgm_bench.evaluation.readiness import CHECKPOINT, DATA, Gap
from lgm_bench.evaluation.wording import describe

HEADINGS = {
    DATA: "missing data sets (expected in data/NAME; --data-root DIR or LGM_BENCH_DATA names another folder):",
    CHECKPOINT: "missing checkpoints (`lgm-bench import VICTIM FILE` stores a published file, `lgm-bench train VICTIM "
    '--data-root DIR` trains one here, checkpoint="random" takes untrained weights):',
}
FEW = 3


def gap_lines(gaps: Sequence[Gap], width: int | None = None) -> Iterator[str]:
    """Yield lines about what is missing, wrapped to `width` columns; None does not wrap."""
    for kind, heading in HEADINGS.items():
        of_kind = [gap for gap in gaps if gap.kind == kind]
        if of_kind:
            yield from _wrapped(heading, "", width)
        for gap in of_kind:
            yield from _wrapped(f"{gap.name}: {gap.brief}", "  ", width)
            yield f"    {'left out' if gap.optional else 'cannot run'}: {cell_names(gap.cells)}"


def cell_names(cells: Sequence[Cell], most: int = FEW) -> str:
    """Return up to `most` cells by name; for more cells, their number and the paper's tables they belong to."""
    if len(cells) <= most:
        return "; ".join(describe(cell) for cell in cells)
    tables = dict.fromkeys(cell.paper[0] for cell in cells if cell.paper)
    if tables and all(cell.paper for cell in cells):
        numbers = ", ".join(ROMAN[int(table.removeprefix("table_")) - 1] for table in tables)
        return f"{len(cells)} cells of Table{'s' * (len(tables) > 1)} {numbers}"
    return f"{'; '.join(describe(cell) for cell in cells[:most])}; and {len(cells) - most} more"


def _wrapped(text: str, indent: str, width: int | None) -> list[str]:
    if width is None:
        return [indent + text]
    hanging = f"{indent}    " if indent else "  "
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )
