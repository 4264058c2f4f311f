"""The texts of a report: what was run and what came of it, what computed it, and what speaks against it."""

from collections.abc import Sequence
from itertools import groupby

from lgm_bench.evaluation.cells.units import number_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import describe
from lgm_bench.report.groups import Group
from lgm_bench.report.model import Grid, Section
from lgm_bench.results.caveats import caveats, caveats_across
from lgm_bench.results.comparisons import verdict_counts
from lgm_bench.results.frame import frame_of, lines_of
from lgm_bench.results.reading import Finished
from lgm_bench.results.statistics import Comparison

BEFORE = ("data", "victim", "attack", "eps", "samples", "measure", "clean")

CELLS = ("cell", "samples", "protocol", "seed", "steps", "step", "wall time (s)", "memory (MB)", "fingerprint")
CHECKS = (
    "cell",
    "looked at",
    "zero gradient",
    "deterministic",
    "batch invariance",
    "saturated",
    "constant units",
    "bounds",
)


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


def provenance(found: Sequence[Finished]) -> Section:
    """Return what computed the numbers, and from what."""
    results = [one.result for one in found]
    software = _distinct(
        results, lambda r: (_versions(r), _commit(r.git_commit), r.device, r.precision, r.backend or "–")
    )
    victims = _distinct(
        results,
        lambda r: (
            *(r.cell.victim.name, r.cell.data.name, r.cell.data.subset, f"{r.n_samples:,}"),
            *(r.checkpoint_sha256[:16], r.data_sha256[:16]),
        ),
    )
    software_head = ("versions", "commit", "device", "precision", "sparse backend", "cells")
    victims_head = ("victim", "data", "subset", "samples", "weights sha256", "sample ids sha256", "cells")
    grids = [
        Grid("Software and machine", software_head, software),
        Grid("Weights and samples", victims_head, victims, ["The first 16 digits of the hashes."]),
        Grid("Every cell", CELLS, [_cell(result) for result in results], folded=True),
    ]
    return Section("provenance", "Where the numbers come from", grids=grids)


def _commit(commit: str | None) -> str:
    """Return enough of a commit to find it, with the word for a changed tree."""
    name, dash, dirty = (commit or "–").partition("-")
    return name[:12] + dash + dirty


def checks(found: Sequence[Finished]) -> Section:
    """Return the checks made before and after each cell, and what is suspicious."""
    results = [one.result for one in found]
    named = [f"{describe(result.cell)}: {caveat}." for result in results for caveat in caveats(result)]
    named += [f"{caveat}." for caveat in caveats_across(lines_of(frame_of(results)))]
    intro = [
        "Before a cell is computed, its first samples tell whether gradients are there, come out the same a second "
        "time, and do not depend on the batch; afterwards every sample is compared with its bounds."
    ]
    intro.append(f"{len(named)} of these are worth a word:" if named else "There is nothing suspicious.")
    grid = Grid("Checks of every cell", CHECKS, [_check(result) for result in results], folded=True)
    return Section("checks", "Checks", intro, grids=[grid], notes=named)


def _distinct(results: Sequence[CellResult], key: object) -> list[tuple[str, ...]]:
    keys = sorted(key(result) for result in results)  # type: ignore[operator]
    return [(*texts, str(len(list(same)))) for texts, same in groupby(keys)]


def _versions(result: CellResult) -> str:
    return ", ".join(f"{name} {version}" for name, version in result.versions.items())


def _cell(result: CellResult) -> tuple[str, ...]:
    cell = result.cell
    memory = "–" if result.peak_memory is None else f"{result.peak_memory / 1e6:.0f}"
    step = "–" if cell.attack.step is None else number_text(cell, cell.attack.step)
    first = f"first {result.n_samples:,}" if cell.data.limit is not None else f"{result.n_samples:,}"
    texts = (describe(cell), first, cell.protocol, str(cell.attack.seed), str(cell.attack.steps), step)
    return (*texts, f"{result.wall_time_s:.1f}", memory, result.fingerprint)


def _check(result: CellResult) -> tuple[str, ...]:
    made = result.checks
    saturated = "–" if made.saturated_occupancies is None else f"{made.saturated_occupancies:.1%}"
    units = f"{made.constant_units} of {made.units}" if made.units else "–"
    return (
        describe(result.cell),
        str(made.n_samples),
        f"{made.zero_gradient_share:.1%}",
        "yes" if made.deterministic else "no",
        f"{made.batch_invariance:.1e}",
        saturated,
        units,
        "kept" if made.within_bounds else "left",
    )
