"""Search for the slope at which an attack is strongest: its cells, and what their results say."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.kinds import inputs_of
from lgm_bench.evaluation.cells.units import eps_number, eps_text, number_text, unit
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.leaded import AUTO
from lgm_bench.results.frame import frame_of, lines_of
from lgm_bench.results.statistics import ALPHA, compare_pair, holm
from lgm_bench.results.tables import Column, Entry, Table
from lgm_bench.tasks.inputs import parse_number
from victims.registry import StoredSlopes

SINGLE_STEP_SLOPES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
ITERATIVE_SLOPES = (1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0)
POINT_SLOPES = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0)
"""The slopes of Table VII."""

MOST_NUMBERS, MOST_LISTED = 1000, 4


@dataclass(frozen=True)
class Search:
    """The results of a search.

    Attributes:
        results: Of the baseline, every slope and the automatic slope, at every eps.
        ties: By eps, the other slopes that are not significantly weaker than the best one; see `ties`.
    """

    results: tuple[CellResult, ...]
    ties: Mapping[float, Sequence[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the files with the results; it differs between victims and attacks."""
        victim, attack = self.results[0].cell.victim, self.results[0].cell.attack
        targeted = "targeted-" * attack.targeted
        pixels = "" if attack.valid_pixels == 1 else f"-{100 * attack.valid_pixels:g}pct"
        return f"search-{victim.name.replace(':', '.')}-{targeted}{attack.name}{pixels}"

    def best(self) -> dict[float, float | str]:
        """Return the strongest slope at every eps; of equally strong ones the smallest, and "auto" last."""
        return {eps: result.cell.gradient.slope or AUTO for eps, result in strongest(self.results).items()}

    def warnings(self) -> list[str]:
        """Return the reasons to doubt a best slope, one sentence per reason and eps."""
        compared, sample = self.results[0].compared, self.results[0].kind.sample
        warnings: list[str] = []
        for eps, best in strongest(self.results).items():
            here = [result for result in self.results if result.cell.attack.eps == eps]
            slope, slopes = best.cell.gradient.slope, [result.cell.gradient.slope for result in here]
            tried = sorted(slope for slope in slopes if isinstance(slope, float | int))
            at, best_slope = f"At eps {eps_text(best.cell)}", best.cell.gradient.slope_text
            if len(tried) > 1 and slope in (tried[0], tried[-1]):
                beyond = "smaller" if slope == tried[0] else "larger"
                warnings.append(
                    f"{at} the best slope, {best_slope}, is at the edge of the slopes that were tried; "
                    f"try {beyond} ones too (--slopes)."
                )
            if self.ties.get(eps):
                warnings.append(
                    f"{at} {_listed(self.ties[eps])} cannot be told apart from the best slope, {best_slope}, on "
                    f"{best.n_samples:,} {sample}s; try more of them (--limit)."
                )
            for baseline in (result for result in here if result.cell.gradient.slope is None):
                left = [result.metrics[compared.name] for result in (baseline, best)]
                if left[0] is not None and _score(baseline) >= _score(best):
                    figures = ["none" if value is None else compared.text(value) for value in left]
                    warnings.append(
                        f"{at} {gradient_name(baseline.cell.gradient.name)} is at least as strong as every slope: "
                        f"{compared.label} {figures[0]}, with the best slope {figures[1]}."
                    )
        return warnings

    def table(self) -> Table:
        """Return the results in the form of Tao et al. 2024, Table VII: one row per slope, one column per eps."""
        first = self.results[0].cell
        compared = self.results[0].compared
        best = self.best()
        entries: dict[tuple[str, Column], Entry] = {}
        for result in sorted(self.results, key=_order):
            gradient = result.cell.gradient
            row = gradient_name(gradient.name) if gradient.slope is None else f"slope={gradient.slope_text}"
            column = Column(first.victim.name, f"eps={eps_number(result.cell)}", compared.heading)
            number = compared.number(result.metrics[compared.name])
            entries[row, column] = Entry(number, best=gradient.slope == best.get(result.cell.attack.eps))
        rows = list(dict.fromkeys(row for row, _ in entries))
        columns = list(dict.fromkeys(column for _, column in entries))
        columns.sort(key=lambda column: float(parse_number(column.variant.removeprefix("eps="))))
        notes = [
            f"In percent: {compared.label}, {'higher' if compared.stronger > 0 else 'lower'} is stronger. "
            "The best slope of each eps is marked.",
            f"{self._samples()}, protocol {first.protocol}, seed {first.attack.seed}.",
            *(f"Warning: {warning}" for warning in self.warnings()),
        ]
        title = f"Slopes for {'targeted ' if first.attack.targeted else ''}{first.attack.name} on {first.victim.name}"
        return Table(self.name, title, "slope", rows, columns, entries, notes)

    def record(self) -> dict[str, Any]:
        """Return the content of the search's JSON file: every score, the best slopes and the warnings."""
        first = self.results[0].cell
        keys = ["victim", "checkpoint", "data", "attack", "step", "steps", "targeted", "protocol"]
        keys += ["valid_pixels", "subset", "limit", "seed"]
        scores = [
            {
                "eps": result.cell.attack.eps,
                "gradient": result.cell.gradient.name,
                "slope": result.cell.gradient.slope,
                **result.metrics,
                "fingerprint": result.fingerprint,
            }
            for result in self.results
        ]
        best = [{"eps": eps, "slope": slope} for eps, slope in self.best().items()]
        about = {key: value for key, value in first.flat().items() if key in keys}
        about |= {"n_samples": self.results[0].n_samples, "best": best}
        return about | {"warnings": self.warnings(), "scores": scores}

    def yaml(self) -> str:
        """Return the victim's line for a benchmark file, with the best slopes in it."""
        first, best = self.results[0].cell, strongest(self.results).values()
        slopes = ", ".join(
            f"{number_text(one.cell, one.cell.attack.eps)}: {one.cell.gradient.slope_text}" for one in best
        )
        checkpoint = "" if first.victim.checkpoint is None else f"checkpoint: {first.victim.checkpoint}, "
        return f"{{name: {first.victim.name}, {checkpoint}slopes: {{{first.attack.name}: {{{slopes}}}}}}}"

    def stored(self) -> StoredSlopes:
        """Return the best slopes as they are stored beside the victim's weights."""
        cell = next(result.cell for result in self.results if result.cell.gradient.slope is not None)
        attack, inputs = cell.attack, inputs_of(cell.attack.name)
        return StoredSlopes(
            attack=attack.name,
            gradient=cell.gradient.name,
            protocol=cell.protocol,
            targeted=attack.targeted,
            valid_pixels=attack.valid_pixels,
            steps=attack.steps or 1,
            samples=self._samples(),
            found=max(datetime.fromisoformat(result.finished_at) for result in self.results).date(),
            slopes={inputs.text(eps * unit(cell)): slope for eps, slope in self.best().items()},
        )

    def _samples(self) -> str:
        first = self.results[0]
        return f"{first.n_samples:,} {first.cell.data.name} {first.cell.data.subset} {first.kind.sample}s"


def strongest(results: Iterable[CellResult]) -> dict[float, CellResult]:
    """Return, by eps, the result of the strongest slope; of equally strong ones the smallest, and "auto" last."""
    best: dict[float, CellResult] = {}
    for result in sorted(results, key=_order):
        eps = result.cell.attack.eps
        if result.cell.gradient.slope is not None and (eps not in best or _score(result) > _score(best[eps])):
            best[eps] = result
    return dict(sorted(best.items()))


def ties(results: Sequence[CellResult], out: Path) -> dict[float, tuple[str, ...]]:
    """Return, by eps, the slopes that are not significantly weaker than the strongest, sample by sample.

    The tests are corrected over the slopes of one eps (Holm). Where samples are too few for a test, all slopes tie.

    Args:
        results: The results of a search.
        out: The results folder with their rows.

    Raises:
        ResultError: Rows are missing or damaged.
    """
    lines = {line["fingerprint"]: line for line in lines_of(frame_of(results, out))}
    tied = {}
    for eps, best in strongest(results).items():
        others = [
            result
            for result in sorted(results, key=_order)
            if result.cell.attack.eps == eps and result.cell.gradient.slope is not None and result is not best
        ]
        pairs = [compare_pair(lines[best.fingerprint], lines[other.fingerprint]) for other in others]
        p_values = holm([pair.p_value for pair in pairs])
        tied[eps] = tuple(
            other.cell.gradient.slope_text for other, p in zip(others, p_values, strict=True) if p is None or p >= ALPHA
        )
    return tied


def search_cells(base: Cell, eps: Sequence[float], slopes: Sequence[float], baseline: str) -> list[Cell]:
    """Return the cells of a search: at every eps the baseline, every slope and the automatic slope.

    Args:
        base: What all have in common; its eps and slope are replaced.
        eps: Half-widths of the ball.
        slopes: Slopes to try. Empty: the default range for the kind of attack.
        baseline: A gradient without a slope, to compare with.

    Raises:
        ConfigError: A slope is not positive.
    """
    if not slopes:
        of_images = SINGLE_STEP_SLOPES if base.attack.name == "fgsm" else ITERATIVE_SLOPES
        slopes = POINT_SLOPES if inputs_of(base.attack.name).voxels else of_images
    for slope in slopes:
        if not slope > 0:
            raise ConfigError(f"slopes must be above 0, got {slope:g}")
    cells = []
    for width in eps:
        here = base.replace(attack={"eps": width})
        cells.append(here.replace(gradient={"name": baseline, "slope": None}))
        cells += [here.replace(gradient={"slope": slope}) for slope in (*sorted(set(slopes)), AUTO)]
    return cells


def parse_numbers(text: str, name: str) -> list[float]:
    """Return the numbers in "1,2,4", "2/255,4/255" or "5:40:5" (from, to, by), or in a mix of them.

    Raises:
        ConfigError: The text is none of these, or a range has more than a thousand numbers.

    >>> parse_numbers("0.5,10:30:10", "--slopes")
    [0.5, 10.0, 20.0, 30.0]
    """
    numbers: list[float] = []
    for part in text.split(","):
        try:
            bounds = [float(parse_number(piece)) for piece in part.split(":")]
        except ValueError:
            bounds = []
        if not all(map(math.isfinite, bounds)):
            bounds = []
        if len(bounds) == 1:
            numbers += bounds
        elif len(bounds) == 3 and bounds[2] > 0 and 0 <= (bounds[1] - bounds[0]) / bounds[2] < MOST_NUMBERS:
            first, last, step = bounds
            numbers += [round(first + step * index, 10) for index in range(int((last - first) / step + 1e-9) + 1)]
        else:
            raise ConfigError(f"{name} {text!r}: expected numbers such as 1,2,4 or a range from:to:by such as 5:40:5")
    return numbers


def _order(result: CellResult) -> float:
    """Return the place of a result among those of one eps: the baseline, the slopes by size, the automatic one."""
    slope = result.cell.gradient.slope
    return 0.0 if slope is None else math.inf if slope == AUTO else float(slope)


def _score(result: CellResult) -> float:
    """Return the strength of an attack, larger for stronger; without a figure it is the weakest."""
    value = result.metrics[result.compared.name]
    return -math.inf if value is None else result.compared.stronger * value


def _listed(slopes: Sequence[str]) -> str:
    """Return slopes in words; many are given as a range."""
    if len(slopes) <= MOST_LISTED:
        return f"slope{'s' * (len(slopes) > 1)} {', '.join(slopes)}"
    return f"{len(slopes)} slopes from {slopes[0]} to {slopes[-1]}"
