"""The beginning of a report: what was run, and what came of it."""

from collections.abc import Sequence

from lgm_bench.report.groups import Group
from lgm_bench.report.model import Grid, Section
from lgm_bench.results.reading import Finished
from lgm_bench.results.statistics import Comparison
from lgm_bench.results.tables.arms_table import verdict_counts

BEFORE = ("data", "victim", "attack", "eps", "samples", "measure", "clean")


def overview(found: Sequence[Finished], comparisons: Sequence[Comparison], telling: Sequence[Group]) -> Section:
    """Return the section.

    Args:
        found: All finished cells.
        comparisons: Each arm against its baseline.
        telling: One group for each victim.
    """
    victims, data = ({getattr(one.result.cell, part).name for one in found} for part in ("victim", "data"))
    limited = [one for one in found if one.result.cell.data.limit is not None]
    seconds = sum(one.result.wall_time_s for one in found)
    intro = [
        f"{_number(len(found), 'cell')} (a victim, an attack, an eps and a gradient each), of "
        f"{_number(len(victims), 'victim')} on {_number(len(data), 'data set')}; {_clock(seconds)} of computing.",
        *(
            verdict_counts(comparisons)
            or ["No samples were attacked under two gradients: there is nothing to compare."]
        ),
    ]
    if limited:
        intro.append(f"{len(limited)} of the cells are of the first few samples of their data sets only.")
    title = "Each victim under its longest attack with the largest eps: what is left, in percent"
    names = [name for name in (telling[0].styles if telling else ()) if any(name in one.shown for one in telling)]
    header = (*BEFORE, *(telling[0].styles[name].name for name in names))
    return Section("overview", "Overview", intro, grids=[Grid(title, header, [_row(one, names) for one in telling])])


def _row(one: Group, names: Sequence[str]) -> tuple[str, ...]:
    values = [f"{100 * one.shown[name].result.left:.2f}" if name in one.shown else "–" for name in names]
    first = one.any
    texts = (one.cell.data.name, one.cell.victim.name, one.attack, one.eps, f"{first.n_samples:,}", first.main.label)
    return (*texts, f"{100 * first.clean:.2f}", *values)


def _number(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _clock(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
