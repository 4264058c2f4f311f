"""Where results belong in the paper's tables, which a record alone tells only of one of them."""

from collections.abc import Sequence

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.store.record import CellResult


def with_places(results: Sequence[CellResult]) -> list[CellResult]:
    """Return results once for each table that the shipped suites put their cell in, and as they are if there is none.

    A cell is computed once, also where several tables print it: Tables VIII to X are of cells of Table IV.

    Args:
        results: Of finished cells, as they were recorded.
    """
    bench = load_bench()
    planned = [one.cell for one in plan(bench, list(bench.suites), full=True) if one.cell.paper]
    victims = {result.cell.victim.name for result in results}
    places: dict[Cell, dict[tuple[str, ...], None]] = {}
    for cell in planned:
        if cell.victim.name in victims and cell.paper:
            places.setdefault(_plain(resolved(cell)), {})[cell.paper] = None
    found = []
    for result in results:
        known = dict.fromkeys([result.cell.paper, *places.get(_plain(result.cell), {})])
        tables = [place for place in known if place is not None or len(known) == 1]
        found += [result.model_copy(update={"cell": result.cell.replace(paper=place)}) for place in tables]
    return found


def _plain(cell: Cell) -> Cell:
    return cell.without("paper", "victim.mean", "victim.std", "victim.checkpoint")
