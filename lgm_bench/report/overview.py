"""The beginning of a report: what was run, and what came of it."""

from collections.abc import Sequence

from lgm_bench.report.comparisons import Comparison, clean, left, metric
from lgm_bench.report.model import Grid, Section
from lgm_bench.results.reading import Finished

HEADER = ("data", "victim", "attack", "eps", "samples", "measure", "clean", "random", "FGM", "LGM", "LGM − FGM")


def overview(found: Sequence[Finished], comparisons: Sequence[Comparison], telling: Sequence[Comparison]) -> Section:
    """Return the section.

    Args:
        found: All finished cells.
        comparisons: All of them side by side.
        telling: One for each victim.
    """
    victims, data = ({getattr(one.result.cell, name) for one in found} for name in ("victim", "data"))
    limited = [one for one in found if one.result.cell.limit is not None]
    seconds = sum(one.result.wall_time_s for one in found)
    intro = [
        f"{_number(len(found), 'cell')} (a victim, an attack, an eps and a gradient each), of "
        f"{_number(len(victims), 'victim')} on {_number(len(data), 'data set')}; {_clock(seconds)} of computing.",
        headline(comparisons),
    ]
    if limited:
        intro.append(f"{len(limited)} of the cells are of the first few samples of their data sets only.")
    notes = ["In percent, differences in points: below 0 LGM leaves less, and is the stronger attack."]
    title = "Each victim under its longest attack with the largest eps"
    return Section("overview", "Overview", intro, grids=[Grid(title, HEADER, [_row(one) for one in telling], notes)])


def headline(comparisons: Sequence[Comparison]) -> str:
    """Return how LGM compares with FGM over all untargeted attacks, in a sentence."""
    both = [one for one in comparisons if len(one.gradients) == 2 and not one.cell.targeted]
    if not both:
        return "Nothing was run under both gradients, so there is nothing to compare."
    differences = [left(one.lgm.result) - left(one.fgm.result) for one in both if one.fgm and one.lgm]
    less, more = (sum(sign * d > 0 for d in differences) for sign in (-1, 1))
    return (
        f"Where an attack was run under both gradients, LGM leaves less than FGM in {less} of {len(both)} cases and "
        f"more in {more}; on average {100 * sum(differences) / len(both):+.1f} points of accuracy or mIoU."
    )


def _row(one: Comparison) -> tuple[str, ...]:
    results = {name: found.result for name, found in one.gradients.items()}
    if one.random:
        results["random"] = one.random.result
    values = [f"{100 * left(results[name]):.2f}" if name in results else "–" for name in ("random", "fgm", "lgm")]
    difference = "–"
    if "fgm" in results and "lgm" in results:
        difference = f"{100 * (left(results['lgm']) - left(results['fgm'])):+.2f}"
    first = one.any
    texts = (one.cell.data, one.cell.victim, one.attack, one.eps, f"{first.n_samples:,}", metric(first))
    return (*texts, f"{100 * clean(first):.2f}", *values, difference)


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
