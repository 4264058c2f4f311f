"""Unfolding a benchmark file's grids into cells, and dealing them out to the jobs of an array."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from lgm_bench.attacks import ATTACKS
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.cells.config import check
from lgm_bench.evaluation.cells.kinds import follows_gradient, is_static, softens
from lgm_bench.evaluation.cells.paper import ROMAN, paper_tables, place_in, table_name
from lgm_bench.evaluation.cells.schema import AttackEntry, BenchFile, Grid, Settings, Strict, VictimEntry
from lgm_bench.evaluation.cells.units import check_sense
from lgm_bench.leaded import GRADIENTS, HARD_GRADIENTS
from victims.names import VICTIMS

MINIATURE, DATA_OF_MINIATURES = "mini", "digits"


@dataclass(frozen=True)
class Planned:
    """A cell to run.

    Attributes:
        cell: The cell.
        optional: Whether it may be left out if its checkpoint is missing.
    """

    cell: Cell
    optional: bool = False


def plan(
    bench: BenchFile,
    suites: Sequence[str],
    *,
    full: bool = False,
    victims: Sequence[str] = (),
    tables: Sequence[str] = (),
) -> list[Planned]:
    """Return the cells of some suites of a benchmark file, once per table, in the order in which they run.

    With `full`, the grids under `full` are included. `victims` and `tables` (of the paper, such as "4") restrict the
    cells; an empty list does not. Victims named here are not optional.

    Raises:
        UnknownNameError: There is no such suite, victim, attack or data set.
        ConfigError: A grid makes no sense, or the suites have no cell of a table.
    """
    found: dict[Cell, Planned] = {}
    for name in suites:
        if name not in bench.suites:
            raise UnknownNameError("suite", name, bench.suites)
        suite = bench.suites[name]
        for grid in [*suite.grids, *(suite.full if full else [])]:
            for planned in unfold(grid, bench.defaults.model_copy(update=_given(suite.defaults))):
                earlier = found.get(planned.cell, planned)
                history = earlier.cell.history or planned.cell.history
                baseline = earlier.cell.baseline or planned.cell.baseline
                cell = planned.cell.replace(history=history, baseline=baseline)
                found[cell] = Planned(cell, earlier.optional and planned.optional)
    chosen = _of_tables(list(found.values()), tables, suites)
    if not victims:
        return chosen
    available = {planned.cell.victim.name for planned in chosen}
    for victim in victims:
        if victim not in available:
            raise UnknownNameError("victim of this suite", victim, available)
    return [replace(planned, optional=False) for planned in chosen if planned.cell.victim.name in victims]


def _of_tables(planned: list[Planned], tables: Sequence[str], suites: Sequence[str]) -> list[Planned]:
    """Return the cells of some tables of the paper, or all if no table is named."""
    if not tables:
        return planned
    names = [table_name(table) for table in tables]
    available = list(dict.fromkeys(one.cell.paper[0] for one in planned if one.cell.paper))
    for name in names:
        if name not in available:
            numerals = ", ".join(ROMAN[int(table[6:]) - 1] for table in available)
            has = f"has Table {numerals}" if available else "has none"
            raise ConfigError(
                f"suite {' + '.join(suites)} has no cell of {name.replace('_', ' ')}: it {has} (its long part, --full, "
                "may have more); leave out --suite for all tables of the paper"
            )
    return [one for one in planned if one.cell.paper and one.cell.paper[0] in names]


def unfold(grid: Grid, defaults: Settings) -> Iterator[Planned]:
    """Yield the cells of one grid: victim by victim, attack by attack, eps by eps, gradient by gradient.

    Raises:
        UnknownNameError: There is no such table, victim, attack or gradient.
        ConfigError: The grid has no victims, or a victim's or attack's options do not fit it.
    """
    settings = defaults.model_copy(update=_given(grid))
    if grid.table is not None and grid.table not in paper_tables():
        raise UnknownNameError("table", grid.table, paper_tables())
    if not grid.victims and not grid.if_available:
        raise ConfigError("a grid needs victims (or if_available)")
    baseline = _baseline(grid, settings)
    for victim, attack in product([*grid.victims, *grid.if_available], grid.attacks):
        optional = victim in grid.if_available and victim not in grid.victims
        gradients = list(_gradients(settings.gradients, victim, attack))
        for pixels, eps, targeted, gradient in product(attack.valid_pixels, grid.eps, grid.targeted, gradients):
            cell = Cell(
                victim=_victim(victim),
                data=DataSpec(grid.data or data_of(victim.name), settings.subset, settings.limit),
                attack=AttackSpec(
                    name=attack.name,
                    eps=eps,
                    step=attack.step.at(eps),
                    steps=attack.steps,
                    loss=attack.loss,
                    targeted=targeted,
                    valid_pixels=pixels,
                    active_set=attack.active_set,
                    seed=settings.seed,
                ),
                gradient=_with_slope(gradient, victim, attack, eps),
                protocol=settings.protocol,
                history=settings.history,
                baseline=baseline,
            )
            check_sense(cell)
            yield Planned(cell.replace(paper=place_in(grid.table, cell, victim.paper)), optional)


def _baseline(grid: Grid, settings: Settings) -> str | None:
    """Return the gradient with which a grid's others are compared; None if there are no others."""
    gradients = [_known("gradient", name, GRADIENTS) for name in settings.gradients]
    if settings.baseline is not None:
        _known("gradient", settings.baseline, GRADIENTS)
    if grid.baseline is not None and grid.baseline not in gradients:
        raise ConfigError(
            f"baseline {grid.baseline!r} is not among the gradients {', '.join(gradients)}; add it, or name one of them"
        )
    if len(gradients) == 1:
        return None
    return settings.baseline if settings.baseline in gradients else gradients[0]


def _gradients(names: Sequence[str], victim: VictimEntry, attack: AttackEntry) -> Iterator[GradientSpec]:
    """Yield the gradients that an attack on a victim can follow, each with every slope and relation to try."""
    if not follows_gradient(_known("attack", attack.name, ATTACKS)):
        yield GradientSpec(NO_GRADIENT)
        return
    ends = (attack.input_slope, attack.output_slope, attack.floor_slope)
    for name in dict.fromkeys(names):
        if softens(name) and is_static(victim.name):
            continue
        slopes: Sequence[float | str | None] = (softens(name) and attack.slope) or [None]
        relations: Sequence[str | None] = attack.relation or [None]
        for slope, relation in product(slopes, relations):
            yield GradientSpec(name, slope, relation, *ends)


def _with_slope(gradient: GradientSpec, victim: VictimEntry, attack: AttackEntry, eps: float) -> GradientSpec:
    """Give a softening gradient without a slope that of its victim's entry; return others as they are."""
    own = victim.slopes.get(attack.name)
    if gradient.slope is not None or own is None or gradient.name == NO_GRADIENT or not softens(gradient.name):
        return gradient
    return replace(gradient, slope=own.at(eps))


def cells_of_flags(flags: Mapping[str, Any]) -> list[Planned]:
    """Return the cells that a command's flags describe: one for each gradient.

    Flags are `victim`, `attack`, `eps`, `gradients` and the other keys of a victim, an attack and a grid in YAML; None
    stands for the default.

    Raises:
        ConfigError: A value makes no sense; the message names its flag.
        UnknownNameError: There is no such victim, attack, gradient or data set.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    victim = {"name": given["victim"], **_among(given, VictimEntry)}
    attack = {"name": given["attack"], **_among(given, AttackEntry)}
    content = {**_among(given, Grid), "victims": [victim], "attacks": [attack]}
    grid = check(Grid, content, "command line", _flag)
    planned = list(unfold(grid, Settings()))
    soft = [name for name in grid.gradients if softens(name)] if "gradients" in given else []
    hard = ", ".join(sorted(HARD_GRADIENTS))
    if soft and is_static(given["victim"]) and follows_gradient(given["attack"]):
        raise ConfigError(
            f"{given['victim']} is not adaptive, so it has no gradient {', '.join(soft)}; use --gradient {hard}"
        )
    if "slope" in given and not soft:
        raise ConfigError(
            f"--slope {given['slope']} is for gradients that soften occupancies; name one of {', '.join(GRADIENTS)} "
            f"but {hard} (--gradient), or leave it out"
        )
    return planned


def data_of(victim: str) -> str:
    """Return the data set of a registered victim: the end of its name.

    >>> data_of("minkunet34c-scannet"), data_of("skipnet14-mini")
    ('scannet', 'digits')

    Raises:
        UnknownNameError: The victim is not registered.
        ConfigError: The victim is a user's own class, whose name does not tell the data set.
    """
    if ":" in victim:
        raise ConfigError(f"the name of victim {victim!r} says no data set; name one (data: in YAML, or --data)")
    parts = _known("victim", victim, VICTIMS).split("-")
    if parts[-1] != MINIATURE:
        return parts[-1]
    return f"{parts[-2]}-{MINIATURE}" if len(parts) > 2 else DATA_OF_MINIATURES


def _among(flags: Mapping[str, Any], model: type[Strict]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if name in model.model_fields}


def _flag(location: tuple[int | str, ...]) -> str:
    names = [str(part) for part in location if not isinstance(part, int)]
    name = "step" if "step" in names else names[-1]
    return "--" + {"gradients": "gradient"}.get(name, name).replace("_", "-")


def _given(settings: Settings) -> dict[str, Any]:
    """Return the shared settings that the file sets itself, by name."""
    return {name: getattr(settings, name) for name in Settings.model_fields if name in settings.model_fields_set}


def _victim(entry: VictimEntry) -> VictimSpec:
    mean, std = (None if values is None else tuple(values) for values in (entry.mean, entry.std))
    return VictimSpec(_known("victim", entry.name, VICTIMS), entry.checkpoint, mean, std, tuple(entry.kwargs.items()))


def _known(kind: str, name: str, registry: Iterable[str]) -> str:
    if ":" not in name and name not in registry:
        raise UnknownNameError(kind, name, registry)
    return name


@dataclass(frozen=True)
class Shard:
    """One of `count` shares of a suite; `index` starts at 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard of a text such as "2/8".

        Raises:
            ConfigError: The text is no shard.

        >>> Shard.parse("2/8")
        Shard(index=2, count=8)
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        shard = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if not 1 <= shard.index <= shard.count:
            raise ConfigError(f"--shard {text}: expected I/N with I from 1 to N, such as 2/8 for the second of eight")
        return shard

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, planned: Sequence[Planned]) -> list[Planned]:
        """Return this shard's cells, in the suite's order. Every cell is in exactly one shard.

        Cells are dealt out by falling estimated cost. The estimate does not depend on the machine or its data, so all
        jobs of an array divide the cells alike. Cells with the same result stay together, so no two jobs compute it.
        """
        from lgm_bench.evaluation.estimates.estimate import (  # imports torch, which parsing does not need
            computation,
            estimates,
        )

        cells = [one.cell for one in planned]
        costs = [estimate.total_gflops or 0.0 for estimate in estimates(cells)]
        groups: dict[object, list[int]] = {}
        for number, cell in enumerate(cells):
            groups.setdefault(computation(cell), []).append(number)
        dealt = sorted(groups.values(), key=lambda numbers: -sum(costs[number] for number in numbers))
        mine = {number for numbers in dealt[self.index - 1 :: self.count] for number in numbers}
        return [one for number, one in enumerate(planned) if number in mine]
