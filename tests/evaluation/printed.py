"""What the paper prints, for tests of the suites that repeat it."""

from lgm_bench.evaluation.cells.paper import paper_tables


def printed_places() -> set[tuple[str, ...]]:
    """Return (table, row, victim, variant) of every cell that the paper prints numbers of.

    What it prints of clean samples belongs to no cell of its own: every cell measures it. A table of classes is one
    cell a victim and variant.
    """
    return {
        (name, row, victim, variant)
        for name, table in paper_tables().items()
        for victim, variants in table.columns.items()
        for variant in variants
        for row in (("",) if table.layout == "class" else table.rows)
        if variant != "clean"
    }
