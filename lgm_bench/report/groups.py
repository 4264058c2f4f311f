"""Groups of results: the same victim, samples and attack under each gradient, and under random moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datamodules import DATAMODULES
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.samples import read_examples
from lgm_bench.evaluation.wording import eps_label, unit_of_eps
from lgm_bench.registry import resolve
from lgm_bench.report.drawing import RANDOM, Style, arm_styles
from lgm_bench.results.reading import Finished, baseline_of, in_order
from lgm_bench.tasks.inputs import inputs_named
from lgm_bench.tasks.samples import ExampleCloud

SWEEPS = ("table_5", "table_7")
"""Tables that vary relations and slopes; a picture shows their cells only if there are no others."""


@dataclass
class Group:
    """The results of one attack with one eps on one victim.

    Attributes:
        cell: The values that all results share.
        styles: Styles of random moves and of every gradient in the report, see `drawing.arm_styles`.
        arms: Results by gradient, in the order of `styles`.
        random: Result of random moves of the same size, if there is one.
    """

    cell: Cell
    styles: Mapping[str, Style]
    arms: dict[str, Finished] = field(default_factory=dict)
    random: Finished | None = None

    @property
    def shown(self) -> dict[str, Finished]:
        """Random moves, if there are any, then the arms."""
        return ({RANDOM: self.random} if self.random else {}) | self.arms

    @property
    def any_result(self) -> CellResult:
        """The first result."""
        return next(iter(self.arms.values())).result

    def clouds(self) -> dict[str, dict[str, ExampleCloud]]:
        """Return the saved examples of point clouds, by sample id and gradient."""
        examples: dict[str, dict[str, ExampleCloud]] = {}
        for gradient, finished in self.arms.items():
            for example in read_examples(finished.folder):
                if isinstance(example, ExampleCloud):
                    examples.setdefault(example.id, {})[gradient] = example
        return examples

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
        limited = [] if self.cell.data.limit is None else [f"first {self.any_result.n_samples:,}"]
        return "\n".join([self.cell.victim.name, ", ".join([self.attack, *limited])])

    @property
    def eps(self) -> str:
        """The eps with its unit."""
        return eps_label(self.any_result)

    @property
    def eps_axis(self) -> str:
        """The label of an axis of eps, with the unit unless the ticks have it."""
        unit = unit_of_eps(self.any_result)
        return f"eps ({unit})" if unit else "eps"

    @property
    def points(self) -> bool:
        """Whether the attack moves points instead of changing intensities."""
        return inputs_named(self.any_result.kind.inputs).voxels


def grouped(cells: Sequence[Finished]) -> list[Group]:
    """Return the groups of results, in the order of the results."""
    arms: dict[Cell, dict[str, Finished]] = {}
    randoms: dict[tuple[object, ...], Finished] = {}
    for finished in sorted(cells, key=_priority):
        cell = finished.result.cell
        if cell.gradient.name == NO_GRADIENT:
            randoms.setdefault(_samples_and_eps(cell), finished)
        else:
            arms.setdefault(_shared(cell), {}).setdefault(cell.gradient.name, finished)
    baseline = baseline_of(finished.result.cell.baseline for finished in cells)
    order = in_order((name for by_gradient in arms.values() for name in by_gradient), baseline)
    styles = arm_styles(order)
    return [
        Group(cell, styles, {name: own[name] for name in order if name in own}, randoms.get(_samples_and_eps(cell)))
        for cell, own in arms.items()
    ]


def legend(groups: Sequence[Group], *, random: bool = True) -> list[tuple[str, str, str]]:
    """Return the colours, names and markers in the legend of a figure of these groups."""
    names = {name for group in groups for name in (group.shown if random else group.arms)}
    styles = groups[0].styles if groups else {}
    return [style.key for name, style in styles.items() if name in names]


def eps_sweeps(groups: Sequence[Group]) -> list[list[Group]]:
    """Return lists of groups that differ only in eps, each in ascending order of eps."""
    sweeps: dict[Cell, list[Group]] = {}
    for group in groups:
        sweeps.setdefault(group.cell.without("attack.eps"), []).append(group)
    return [sorted(sweep, key=lambda group: group.cell.attack.eps) for sweep in sweeps.values()]


def representative(groups: Sequence[Group]) -> list[Group]:
    """Return one group per victim and data set, for pictures.

    It is the one with the most gradients; among equals untargeted attacks come first, then more samples, more steps,
    more pixels and the largest eps.
    """
    best: dict[tuple[str, str], Group] = {}
    for group in groups:
        key = (group.cell.victim.name, group.cell.data.name)
        if key not in best or _rank(group) > _rank(best[key]):
            best[key] = group
    return list(best.values())


def _rank(group: Group) -> tuple[int, bool, int, int, float, float]:
    attack = group.cell.attack
    steps = max(finished.result.cell.attack.steps or 1 for finished in group.arms.values())
    n_samples = group.any_result.n_samples
    return len(group.arms), not attack.targeted, n_samples, steps, attack.valid_pixels, attack.eps


def _priority(finished: Finished) -> tuple[bool, bool, int]:
    """Return a sort key that puts cells of `SWEEPS` after other results, and other relations after the sigmoid."""
    cell = finished.result.cell
    rank = SWEEPS.index(cell.paper[0]) + 1 if cell.paper and cell.paper[0] in SWEEPS else 0
    return rank > 0, cell.gradient.relation not in (None, "sigmoid"), rank


def _shared(cell: Cell) -> Cell:
    """Return the values that the cells of a group share; arms may differ in `statistics.TUNED`."""
    tuned = ("attack.step", "attack.steps", "attack.loss")
    return cell.without("gradient", *tuned, "paper", "victim.mean", "victim.std", "victim.checkpoint")


def _samples_and_eps(cell: Cell) -> tuple[object, ...]:
    return cell.victim.name, cell.data.name, cell.data.subset, cell.data.limit, cell.attack.eps


def class_name(names: Sequence[str], label: int) -> str:
    """Return the name of a class, or its number if `names` is too short."""
    return names[label] if label < len(names) else str(label)


def class_names(result: CellResult) -> Sequence[str]:
    """Return the names of the classes in order; empty if they are unknown."""
    if result.classes is not None:
        return result.classes.names
    try:
        return tuple(str(name) for name in resolve("data set", result.cell.data.name, DATAMODULES).class_names)
    except Exception:  # a data set of a user's own, whose code may be gone or fail in any way
        return ()
