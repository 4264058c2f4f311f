"""Results side by side: the same victim, samples and attack under FGM, under LGM, and under random moves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.suites import GRADIENT_FREE, takes_points
from lgm_bench.evaluation.store.example_clouds import ExampleCloud
from lgm_bench.evaluation.store.examples import read_examples
from lgm_bench.evaluation.store.images import SavedImage
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import unit_of_eps
from lgm_bench.results.reading import Finished

Kind = TypeVar("Kind", SavedImage, ExampleCloud)
SWEEPS = ("table_5", "table_7")
"""Tables that try relations and slopes; their LGM is not the one to compare where there is another."""


@dataclass
class Comparison:
    """One attack with one eps on one victim.

    Attributes:
        cell: What the results have in common.
        fgm: Result under FGM, if there is one.
        lgm: Result under LGM.
        random: Random moves of the same size.
    """

    cell: Cell
    fgm: Finished | None = None
    lgm: Finished | None = None
    random: Finished | None = None

    @property
    def gradients(self) -> dict[str, Finished]:
        """The results by gradient, those that are there."""
        found = {"fgm": self.fgm, "lgm": self.lgm}
        return {name: one for name, one in found.items() if one is not None}

    @property
    def any(self) -> CellResult:
        """One of the results."""
        return next(iter(self.gradients.values())).result

    def examples(self, kind: type[Kind]) -> dict[str, dict[str, Kind]]:
        """Return the examples of one kind that were kept, by sample id and gradient."""
        found: dict[str, dict[str, Kind]] = {}
        for gradient, one in self.gradients.items():
            for example in read_examples(one.folder):
                if isinstance(example, kind):
                    found.setdefault(example.id, {})[gradient] = example
        return found

    @property
    def attack(self) -> str:
        """The attack in words, without its eps."""
        parts = [self.cell.attack]
        if self.cell.valid_pixels != 1:
            parts.append(f"{self.cell.valid_pixels:.3g} of the pixels")
        return " ".join([*parts, *["targeted"] * self.cell.targeted])

    @property
    def title(self) -> str:
        """The victim and the attack in two lines, for the top of a plot."""
        limited = [] if self.cell.limit is None else [f"first {self.any.n_samples:,}"]
        return "\n".join([self.cell.victim, ", ".join([self.attack, *limited])])

    @property
    def eps(self) -> str:
        """The eps with its unit."""
        return f"{self.cell.eps:g}{' ' if self.points else ' × '}{self.unit}"

    @property
    def unit(self) -> str:
        """The unit of eps."""
        return unit_of_eps(self.any)

    @property
    def points(self) -> bool:
        """Whether points were moved, and not intensities."""
        return takes_points(self.cell.attack)


def compare(found: Sequence[Finished]) -> list[Comparison]:
    """Return what there is to compare, in the order of the results."""
    comparisons: dict[Cell, Comparison] = {}
    randoms: dict[tuple[object, ...], Finished] = {}
    for one in sorted(found, key=_sweep):
        cell = one.result.cell
        if cell.attack in GRADIENT_FREE:
            randoms.setdefault(_place(cell), one)
            continue
        shared = comparisons.setdefault(_alike(cell), Comparison(_alike(cell)))
        if getattr(shared, cell.gradient) is None:
            setattr(shared, cell.gradient, one)
    for comparison in comparisons.values():
        comparison.random = randoms.get(_place(comparison.cell))
    return list(comparisons.values())


def series(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    """Return comparisons that differ in their eps alone together, the eps rising."""
    together: dict[Cell, list[Comparison]] = {}
    for one in comparisons:
        together.setdefault(replace(one.cell, eps=0.0, limit=one.cell.limit), []).append(one)
    return [sorted(ones, key=lambda one: one.cell.eps) for ones in together.values()]


def telling(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return one comparison a victim and data set, for pictures.

    Of both gradients if there is one, then of the most samples, of the most steps, with the largest eps.
    """
    best: dict[tuple[str, str], Comparison] = {}
    for one in comparisons:
        key = (one.cell.victim, one.cell.data)
        if key not in best or _tells(one) > _tells(best[key]):
            best[key] = one
    return list(best.values())


def left(result: CellResult) -> float:
    """Return what an attack leaves: the mIoU of scenes, else the accuracy."""
    return result.segmentation.miou if result.segmentation else result.accuracy


def clean(result: CellResult) -> float:
    """Return the same before the attack."""
    return result.segmentation.clean_miou if result.segmentation else result.clean_accuracy


def metric(result: CellResult) -> str:
    """Return what `left` is called."""
    return "mIoU" if result.segmentation else "accuracy"


def _tells(one: Comparison) -> tuple[int, bool, int, int, float, float]:
    steps = max(found.result.cell.steps or 1 for found in one.gradients.values())
    n = one.any.n_samples
    return len(one.gradients), not one.cell.targeted, n, steps, one.cell.valid_pixels, one.cell.eps


def _sweep(one: Finished) -> tuple[bool, bool, int]:
    """Return how badly a result stands for its gradient: sweeps after others, other relations after the sigmoid."""
    cell = one.result.cell
    rank = SWEEPS.index(cell.paper[0]) + 1 if cell.paper and cell.paper[0] in SWEEPS else 0
    return rank > 0, cell.relation not in (None, "sigmoid"), rank


def _alike(cell: Cell) -> Cell:
    same = replace(cell, gradient="", slope=None, forward="soft", relation=None, paper=None, step=None, steps=None)
    same = replace(same, mean=None, std=None, checkpoint=None)
    return replace(same, input_slope=None, output_slope=None, floor_slope=None, loss=None)


def _place(cell: Cell) -> tuple[object, ...]:
    return cell.victim, cell.data, cell.subset, cell.limit, cell.eps
