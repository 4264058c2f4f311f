"""The linear search over the slope of the leaded gradient, on data that no table is measured on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.kinds import takes_points
from lgm_bench.evaluation.cells.units import eps_number, number_text, parse_number
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.results.tables import Column, Entry, Table

SINGLE_STEP_SLOPES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
ITERATIVE_SLOPES = (1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0)
POINT_SLOPES = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0)
"""Those of Table VII."""

FGM_ROW = "FGM"
MOST_NUMBERS = 1000


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        results: FGM and every slope at every eps.
    """

    results: tuple[CellResult, ...]

    @property
    def name(self) -> str:
        """Name of the files that hold it: searches of several victims and attacks lie side by side."""
        cell = self.results[0].cell
        kind = f"targeted-{cell.attack.name}" if cell.attack.targeted else cell.attack.name
        pixels = "" if cell.attack.valid_pixels == 1 else f"-{100 * cell.attack.valid_pixels:g}pct"
        return f"search-{cell.victim.name.replace(':', '.')}-{kind}{pixels}"

    def score(self, result: CellResult) -> float:
        """Return the figure by which attacks are compared, negative where less is stronger; NaN is the weakest."""
        value = result.metrics[result.compared.name]
        return -math.inf if value is None else result.compared.stronger * value

    def best(self) -> dict[float, float]:
        """Return the strongest slope of every eps; of equals, the smallest."""
        found: dict[float, CellResult] = {}
        for result in sorted(self.results, key=lambda result: float(result.cell.gradient.slope or 0.0)):
            if result.cell.gradient.slope is None:
                continue
            strongest = found.get(result.cell.attack.eps)
            if strongest is None or self.score(result) > self.score(strongest):
                found[result.cell.attack.eps] = result
        return {eps: float(result.cell.gradient.slope or 0.0) for eps, result in sorted(found.items())}

    def table(self) -> Table:
        """Return the results in the form of Table VII of Tao et al. 2024: a row a slope, a column an eps."""
        first = self.results[0].cell
        compared = self.results[0].compared
        best = self.best()
        entries: dict[tuple[str, Column], Entry] = {}
        for result in self.results:
            slope, eps = result.cell.gradient.slope, result.cell.attack.eps
            row = FGM_ROW if slope is None else f"slope={result.cell.gradient.slope_text}"
            number = compared.number(result.metrics[compared.name])
            column = Column(first.victim.name, f"eps={eps_number(result.cell)}", compared.heading)
            entries[row, column] = Entry(number, best=slope is not None and slope == best.get(eps))
        rows = list(dict.fromkeys(row for row, _ in entries))
        columns = list(dict.fromkeys(column for _, column in entries))
        rows.sort(key=lambda row: -1.0 if row == FGM_ROW else float(row.removeprefix("slope=")))
        columns.sort(key=lambda column: float(parse_number(column.variant.removeprefix("eps="))))
        measure = f"{compared.label}, {'higher' if compared.stronger > 0 else 'lower'} is stronger"
        samples = f"{self.results[0].kind.sample}s"
        notes = [
            f"In percent: {measure}. Best slope of each eps marked.",
            f"{self.results[0].n_samples:,} {first.data.name} {first.data.subset} {samples}, "
            f"protocol {first.protocol}, seed {first.attack.seed}.",
        ]
        title = f"Slopes for {'targeted ' if first.attack.targeted else ''}{first.attack.name} on {first.victim.name}"
        return Table(self.name, title, "slope", rows, columns, entries, notes)

    def record(self) -> dict[str, Any]:
        """Return what search.json holds: every score and the best slope of every eps."""
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
        return about | {"n_samples": self.results[0].n_samples, "best": best, "scores": scores}

    def yaml(self) -> str:
        """Return the victim's line for a benchmark file with the best slopes in it."""
        first = self.results[0].cell
        slopes = ", ".join(f"{number_text(first, eps)}: {slope:g}" for eps, slope in self.best().items())
        checkpoint = "" if first.victim.checkpoint is None else f"checkpoint: {first.victim.checkpoint}, "
        return f"{{name: {first.victim.name}, {checkpoint}slopes: {{{first.attack.name}: {{{slopes}}}}}}}"


def search_cells(base: Cell, eps: Sequence[float], slopes: Sequence[float], baseline: str) -> list[Cell]:
    """Return the cells of a search: the baseline, then every slope, at every eps.

    Args:
        base: What all have in common; its eps and slope are replaced.
        eps: Half-widths of the ball.
        slopes: Slopes to try; empty takes a default range for single-step or iterative attacks, or those on points.
        baseline: A gradient without a slope to compare with.

    Raises:
        ConfigError: A slope is not positive.
    """
    if not slopes:
        of_images = SINGLE_STEP_SLOPES if base.attack.name == "fgsm" else ITERATIVE_SLOPES
        slopes = POINT_SLOPES if takes_points(base.attack.name) else of_images
    for slope in slopes:
        if not slope > 0:
            raise ConfigError(f"slopes must be above 0, got {slope:g}")
    cells = []
    for width in eps:
        here = base.replace(attack={"eps": width})
        cells.append(here.replace(gradient={"name": baseline, "slope": None}))
        cells += [here.replace(gradient={"slope": slope}) for slope in sorted(set(slopes))]
    return cells


def parse_numbers(text: str, name: str) -> list[float]:
    """Return the numbers in "1,2,4", "2/255,4/255" or "5:40:5" (from, to, by), or in a mix of them.

    Raises:
        ConfigError: The text is neither, or a range is of more than a thousand numbers.

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
