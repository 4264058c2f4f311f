"""The end of a report: what computed the numbers, from what, and what speaks against them."""

from collections.abc import Sequence
from itertools import groupby

from lgm_bench.evaluation.cells.units import number_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import describe
from lgm_bench.report.model import Grid, Section
from lgm_bench.results.caveats import caveats, caveats_across
from lgm_bench.results.reading import Finished

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
    named += [f"{caveat}." for caveat in caveats_across(results)]
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
