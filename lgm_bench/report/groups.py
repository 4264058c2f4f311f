"""Results side by side: the same victim, samples and attack under each gradient, and under random moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from datamodules import DATAMODULES
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.samples import read_examples
from lgm_bench.evaluation.wording import eps_label, unit_of_eps
from lgm_bench.registry import resolve
from lgm_bench.report.drawing import RANDOM, Style, arm_styles
from lgm_bench.results.reading import Finished, baseline_of, in_order
from lgm_bench.tasks.inputs import inputs_named
from lgm_bench.tasks.samples import ExampleCloud, SavedImage

Kind = TypeVar("Kind", SavedImage, ExampleCloud)
SWEEPS = ("table_5", "table_7")
"""Tables that try relations and slopes; a picture shows their cells only where there are no others."""


@dataclass
class Group:
    """One attack with one eps on one victim.

    Attributes:
        cell: What the results have in common.
        styles: How random moves and each arm of the report look, in order, see `drawing.arm_styles`.
        arms: Results by gradient, in the order of `styles`.
        random: Random moves of the same size, if there is such a result.
    """

    cell: Cell
    styles: Mapping[str, Style]
    arms: dict[str, Finished] = field(default_factory=dict)
    random: Finished | None = None

    @property
    def shown(self) -> dict[str, Finished]:
        """Random moves, if there are any, and then the arms."""
        return ({RANDOM: self.random} if self.random else {}) | self.arms

    @property
    def any(self) -> CellResult:
        """One of the results."""
        return next(iter(self.arms.values())).result

    def examples(self, kind: type[Kind]) -> dict[str, dict[str, Kind]]:
        """Return the examples of one kind that were kept, by sample id and gradient."""
        found: dict[str, dict[str, Kind]] = {}
        for gradient, one in self.arms.items():
            for example in read_examples(one.folder):
                if isinstance(example, kind):
                    found.setdefault(example.id, {})[gradient] = example
        return found

    @property
    def attack(self) -> str:
        """The attack in words, without its eps."""
        parts = [self.cell.attack.name]
        if self.cell.attack.valid_pixels != 1:
            parts.append(f"{self.cell.attack.valid_pixels:.3g} of the pixels")
        return " ".join([*parts, *["targeted"] * self.cell.attack.targeted])

    @property
    def title(self) -> str:
        """The victim and the attack in two lines, for the top of a plot."""
        limited = [] if self.cell.data.limit is None else [f"first {self.any.n_samples:,}"]
        return "\n".join([self.cell.victim.name, ", ".join([self.attack, *limited])])

    @property
    def eps(self) -> str:
        """The eps with its unit."""
        return eps_label(self.any)

    @property
    def unit(self) -> str:
        """The unit of eps; empty where every eps has its unit beside it."""
        return unit_of_eps(self.any)

    @property
    def eps_axis(self) -> str:
        """The label of an axis of eps."""
        return f"eps ({self.unit})" if self.unit else "eps"

    @property
    def points(self) -> bool:
        """Whether points were moved, and not intensities."""
        return inputs_named(self.any.kind.inputs).voxels


def grouped(found: Sequence[Finished]) -> list[Group]:
    """Return results by what they have in common, in the order of the results."""
    arms: dict[Cell, dict[str, Finished]] = {}
    randoms: dict[tuple[object, ...], Finished] = {}
    for one in sorted(found, key=_sweep):
        cell = one.result.cell
        if cell.gradient.name == NO_GRADIENT:
            randoms.setdefault(_place(cell), one)
        else:
            arms.setdefault(_alike(cell), {}).setdefault(cell.gradient.name, one)
    order = in_order(
        (name for names in arms.values() for name in names), baseline_of(one.result.cell.baseline for one in found)
    )
    styles = arm_styles(order)
    return [
        Group(cell, styles, {name: there[name] for name in order if name in there}, randoms.get(_place(cell)))
        for cell, there in arms.items()
    ]


def legend(groups: Sequence[Group], *, random: bool = True) -> list[tuple[str, str]]:
    """Return the colours and names in the legend of a figure of these groups."""
    there = {name for one in groups for name in (one.shown if random else one.arms)}
    styles = groups[0].styles if groups else {}
    return [(style.colour, style.name) for name, style in styles.items() if name in there]


def series(groups: Sequence[Group]) -> list[list[Group]]:
    """Return lists of groups that differ only in eps, each in the order of eps."""
    together: dict[Cell, list[Group]] = {}
    for one in groups:
        together.setdefault(one.cell.without("attack.eps"), []).append(one)
    return [sorted(ones, key=lambda one: one.cell.attack.eps) for ones in together.values()]


def telling(groups: Sequence[Group]) -> list[Group]:
    """Return one group per victim and data set, for pictures.

    It is the one with the most gradients; of equals, the one with the most samples, then steps, then the largest eps.
    """
    best: dict[tuple[str, str], Group] = {}
    for one in groups:
        key = (one.cell.victim.name, one.cell.data.name)
        if key not in best or _tells(one) > _tells(best[key]):
            best[key] = one
    return list(best.values())


def _tells(one: Group) -> tuple[int, bool, int, int, float, float]:
    steps = max(found.result.cell.attack.steps or 1 for found in one.arms.values())
    n = one.any.n_samples
    return len(one.arms), not one.cell.attack.targeted, n, steps, one.cell.attack.valid_pixels, one.cell.attack.eps


def _sweep(one: Finished) -> tuple[bool, bool, int]:
    """Return a key that sorts sweeps behind other results, and other relations behind the sigmoid."""
    cell = one.result.cell
    rank = SWEEPS.index(cell.paper[0]) + 1 if cell.paper and cell.paper[0] in SWEEPS else 0
    return rank > 0, cell.gradient.relation not in (None, "sigmoid"), rank


def _alike(cell: Cell) -> Cell:
    """Return what the cells of a group have in common; arms may differ in `statistics.TUNED`."""
    tuned = ("attack.step", "attack.steps", "attack.loss")
    return cell.without("gradient", *tuned, "paper", "victim.mean", "victim.std", "victim.checkpoint")


def _place(cell: Cell) -> tuple[object, ...]:
    return cell.victim.name, cell.data.name, cell.data.subset, cell.data.limit, cell.attack.eps


def class_name(names: Sequence[str], label: int) -> str:
    """Return the name of a class, or its number where `names` ends before it."""
    return names[label] if label < len(names) else str(label)


def class_names(result: CellResult) -> Sequence[str]:
    """Return the names of the classes in order; empty where they are not known, and numbers stand in."""
    if result.classes is not None:
        return result.classes.names
    try:
        return tuple(str(name) for name in resolve("data set", result.cell.data.name, DATAMODULES).class_names)
    except Exception:  # a data set of a user's own, whose code may be gone or fail in any way
        return ()
