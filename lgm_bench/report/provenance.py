"""Where the numbers of a report come from, and what was checked."""

from collections import Counter
from collections.abc import Sequence

from lgm_bench.evaluation.cells.units import number_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import clock, counted, describe
from lgm_bench.report.model import Section
from lgm_bench.results.caveats import caveats, caveats_across
from lgm_bench.results.formats import Grid
from lgm_bench.results.frame import frame_of, lines_of
from lgm_bench.results.reading import Finished

PROVENANCE = "Provenance"
"""Page of these sections."""
SOFTWARE = ("versions", "commit", "device", "precision", "sparse backend", "cells")
SOURCES = ("victim", "data", "subset", "samples", "weights sha256", "sample ids sha256", "cells")
CELLS = ("cell", "samples", "protocol", "seed", "steps", "step", "wall time (s)", "memory (MB)", "fingerprint")
CHECKS = (
    *("cell", "samples", "zero gradient", "deterministic", "batch invariance", "saturated", "constant units"),
    "bounds",
)
HASH_DIGITS, COMMIT_DIGITS = 16, 12


def subtitle(cells: Sequence[Finished]) -> str:
    """Return what the report is about, in a sentence."""
    victims, data = ({getattr(finished.result.cell, part).name for finished in cells} for part in ("victim", "data"))
    limited = sum(finished.result.cell.data.limit is not None for finished in cells)
    few = f"; {limited} of the cells use only the first few samples of their data sets" if limited else ""
    return (
        f"{counted(len(cells), 'cell')} (a victim, an attack, an eps and a gradient each), of "
        f"{counted(len(victims), 'victim')} on {counted(len(data), 'data set')}; "
        f"{clock(sum(finished.result.wall_time_s for finished in cells))} of computing time{few}."
    )


def provenance(cells: Sequence[Finished]) -> Section:
    """Return the software, machines, weights and samples behind the numbers."""
    results = [finished.result for finished in cells]
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
    return Section("provenance", "Where the numbers come from", PROVENANCE, grids=grids)


def _counts(texts: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the distinct rows, sorted, each with its number of cells."""
    return [(*row, str(n)) for row, n in sorted(Counter(texts).items())]


def _software(result: CellResult) -> tuple[str, ...]:
    commit, dash, dirty = (result.git_commit or "–").partition("-")
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return versions, commit[:COMMIT_DIGITS] + dash + dirty, result.device, result.precision, result.backend or "–"


def _sources(result: CellResult) -> tuple[str, ...]:
    cell, hashes = result.cell, (result.checkpoint_sha256, result.data_sha256)
    samples = (cell.data.name, cell.data.subset, f"{result.n_samples:,}")
    return (cell.victim.name, *samples, *(sha256[:HASH_DIGITS] for sha256 in hashes))


def checks(cells: Sequence[Finished]) -> Section:
    """Return the checks before and after each cell, and the caveats."""
    results = [finished.result for finished in cells]
    remarks = [f"{describe(result.cell)}: {caveat}." for result in results for caveat in caveats(result)]
    remarks += [f"{caveat}." for caveat in caveats_across(lines_of(frame_of(results)))]
    intro = [
        "Before a cell is computed, its first samples are used to check that gradients exist, repeat exactly, and do "
        "not depend on the batch. Afterwards every sample is checked against its bounds.",
        f"{counted(len(remarks), 'remark')} on these cells:" if remarks else "There are no remarks.",
    ]
    grid = Grid("Checks of every cell", CHECKS, [_check(result) for result in results], folded=True)
    return Section("checks", "Checks", PROVENANCE, intro=intro, grids=[grid], notes=remarks)


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
