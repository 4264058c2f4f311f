"""The texts of a report: what was run and what came of it, what computed it, and what speaks against it."""

from collections import Counter
from collections.abc import Sequence

from lgm_bench.evaluation.cells.units import number_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import clock, describe
from lgm_bench.report.groups import Group
from lgm_bench.report.model import Grid, Section
from lgm_bench.results.caveats import caveats, caveats_across
from lgm_bench.results.comparisons import verdict_counts
from lgm_bench.results.frame import frame_of, lines_of
from lgm_bench.results.reading import Finished
from lgm_bench.results.statistics import Comparison

BEFORE, AFTER = ("victim", "clean"), ("measure", "attack", "eps", "samples", "data")
"""Columns around those of the arms; a phone shows the first ones."""
SOFTWARE = ("versions", "commit", "device", "precision", "sparse backend", "cells")
SOURCES = ("victim", "data", "subset", "samples", "weights sha256", "sample ids sha256", "cells")
CELLS = ("cell", "samples", "protocol", "seed", "steps", "step", "wall time (s)", "memory (MB)", "fingerprint")
CHECKS = (
    *("cell", "looked at", "zero gradient", "deterministic", "batch invariance", "saturated", "constant units"),
    "bounds",
)
HASH_DIGITS, COMMIT_DIGITS = 16, 12


def overview(found: Sequence[Finished], comparisons: Sequence[Comparison], telling: Sequence[Group]) -> Section:
    """Return the section.

    Args:
        found: All finished cells.
        comparisons: Each arm against its baseline.
        telling: One group for each victim.
    """
    victims, data = ({getattr(one.result.cell, part).name for one in found} for part in ("victim", "data"))
    limited = sum(one.result.cell.data.limit is not None for one in found)
    nothing = "No samples were attacked under two gradients: there is nothing to compare."
    intro = [
        f"{_counted(len(found), 'cell')} (a victim, an attack, an eps and a gradient each), of "
        f"{_counted(len(victims), 'victim')} on {_counted(len(data), 'data set')}; "
        f"{clock(sum(one.result.wall_time_s for one in found))} of computing.",
        *(verdict_counts(comparisons) or [nothing]),
    ]
    if limited:
        intro.append(f"{limited} of the cells are of the first few samples of their data sets only.")
    title = "Each victim under its longest attack with the largest eps: what is left, in percent"
    styles = telling[0].styles if telling else {}
    names = [name for name in styles if any(name in one.shown for one in telling)]
    header = (*BEFORE, *(styles[name].name for name in names), *AFTER)
    return Section("overview", "Overview", intro, grids=[Grid(title, header, [_row(one, names) for one in telling])])


def _row(one: Group, names: Sequence[str]) -> tuple[str, ...]:
    values = [f"{100 * one.shown[name].result.left:.2f}" if name in one.shown else "–" for name in names]
    first = one.any
    setting = (first.main.label, one.attack, one.eps, f"{first.n_samples:,}", one.cell.data.name)
    return (one.cell.victim.name, f"{100 * first.clean:.2f}", *values, *setting)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def provenance(found: Sequence[Finished]) -> Section:
    """Return what computed the numbers, and from what."""
    results = [one.result for one in found]
    grids = [
        Grid("Software and machine", SOFTWARE, _counts([_software(result) for result in results])),
        Grid(
            "Weights and samples",
            SOURCES,
            _counts([_sources(result) for result in results]),
            [f"The first {HASH_DIGITS} digits of the hashes."],
        ),
        Grid("Every cell", CELLS, [_cell(result) for result in results], folded=True),
    ]
    return Section("provenance", "Where the numbers come from", grids=grids)


def _counts(texts: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the distinct rows, sorted, each with the number of cells that it is of."""
    return [(*row, str(n)) for row, n in sorted(Counter(texts).items())]


def _software(result: CellResult) -> tuple[str, ...]:
    commit, dash, dirty = (result.git_commit or "–").partition("-")
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return versions, commit[:COMMIT_DIGITS] + dash + dirty, result.device, result.precision, result.backend or "–"


def _sources(result: CellResult) -> tuple[str, ...]:
    cell, hashes = result.cell, (result.checkpoint_sha256, result.data_sha256)
    samples = (cell.data.name, cell.data.subset, f"{result.n_samples:,}")
    return (cell.victim.name, *samples, *(sha256[:HASH_DIGITS] for sha256 in hashes))


def checks(found: Sequence[Finished]) -> Section:
    """Return the checks made before and after each cell, and what is suspicious."""
    results = [one.result for one in found]
    named = [f"{describe(result.cell)}: {caveat}." for result in results for caveat in caveats(result)]
    named += [f"{caveat}." for caveat in caveats_across(lines_of(frame_of(results)))]
    intro = [
        "Before a cell is computed, its first samples tell whether gradients are there, come out the same a second "
        "time, and do not depend on the batch; afterwards every sample is compared with its bounds.",
        f"{_counted(len(named), 'remark')} on these cells:" if named else "There is nothing suspicious.",
    ]
    grid = Grid("Checks of every cell", CHECKS, [_check(result) for result in results], folded=True)
    return Section("checks", "Checks", intro, grids=[grid], notes=named)


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
