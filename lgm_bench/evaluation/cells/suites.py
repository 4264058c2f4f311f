"""Unfold a benchmark file's grids into cells."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from lgm_bench.attacks import ATTACKS, POINT_ATTACKS
from lgm_bench.attacks.slopes import default_slope
from lgm_bench.errors import ConfigError, LgmBenchError, UnknownNameError
from lgm_bench.evaluation.cells.cell import AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.cells.config import check
from lgm_bench.evaluation.cells.paper import ROMAN, paper_tables, table_name
from lgm_bench.evaluation.cells.schema import AttackEntry, BenchFile, Grid, Settings, Strict, VictimEntry
from lgm_bench.registry import resolve
from victims.names import VICTIMS

STATIC_FAMILIES = ("resnet",)
MINIATURE, DATA_OF_MINIATURES = "mini", "digits"
GRADIENT_FREE = ("random",)
RELATION = "sigmoid"
"""The relation of points and voxels where none is named."""


@dataclass(frozen=True)
class Planned:
    """A cell to run; an optional one may be left out when its checkpoint is not there."""

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
    """Return the cells of some suites, each once a table, in the order they run in.

    Args:
        bench: A checked benchmark file.
        suites: Names of suites in it.
        full: Whether the grids under `full` run too.
        victims: Only these victims, which are then no longer optional; empty for all.
        tables: Only the cells of these tables of the paper, such as "4"; empty for all.

    Raises:
        UnknownNameError: There is no such suite, victim, attack or data set.
        ConfigError: A grid makes no sense, such as a victim on another data set than its own, or the suites have no
            cell of a table.
    """
    found: dict[Cell, Planned] = {}
    for name in suites:
        if name not in bench.suites:
            raise UnknownNameError("suite", name, bench.suites)
        suite = bench.suites[name]
        for grid in [*suite.grids, *(suite.full if full else [])]:
            for planned in unfold(grid, bench.defaults):
                earlier = found.get(planned.cell, planned)
                history = earlier.cell.history or planned.cell.history
                cell = planned.cell.replace(history=history)
                found[cell] = Planned(cell, earlier.optional and planned.optional)
    chosen = _of_tables(list(found.values()), tables, suites)
    if not victims:
        return chosen
    there = {planned.cell.victim.name for planned in chosen}
    for victim in victims:
        if victim not in there:
            raise UnknownNameError("victim of this suite", victim, there)
    return [Planned(planned.cell) for planned in chosen if planned.cell.victim.name in victims]


def _of_tables(planned: list[Planned], tables: Sequence[str], suites: Sequence[str]) -> list[Planned]:
    """Return the cells of some tables of the paper, or all if no table is named."""
    if not tables:
        return planned
    names = [table_name(table) for table in tables]
    there = list(dict.fromkeys(one.cell.paper[0] for one in planned if one.cell.paper))
    for name in names:
        if name not in there:
            has = f"has Table {', '.join(ROMAN[int(table[6:]) - 1] for table in there)}" if there else "has none"
            raise ConfigError(
                f"suite {' + '.join(suites)} has no cell of {name.replace('_', ' ')}: it {has} (its long part, --full, "
                "may have more); leave out --suite for all of the paper's"
            )
    return [one for one in planned if one.cell.paper and one.cell.paper[0] in names]


def unfold(grid: Grid, defaults: Settings) -> Iterator[Planned]:
    """Yield the cells of one grid: victim by victim, attack by attack, eps by eps, FGM before LGM.

    Raises:
        UnknownNameError: There is no such table, victim or attack.
        ConfigError: The grid has no victims, or a victim's or attack's options do not fit it.
    """
    settings = defaults.model_copy(update=_given(grid))
    if grid.table is not None and grid.table not in paper_tables():
        raise UnknownNameError("table", grid.table, paper_tables())
    if not grid.victims and not grid.if_available:
        raise ConfigError("a grid needs victims (or if_available)")
    for victim, attack in product([*grid.victims, *grid.if_available], grid.attacks):
        optional = victim in grid.if_available and victim not in grid.victims
        sweep = product(attack.valid_pixels, grid.eps, grid.targeted, _gradients(grid, victim, attack))
        for pixels, eps, targeted, (gradient, slope, relation) in sweep:
            if gradient == "lgm" and slope is None:
                slope = _slope(victim, attack.name, eps, targeted)
            cell = Cell(
                _victim(victim),
                DataSpec(grid.data or data_of(victim.name), settings.subset, settings.limit),
                AttackSpec(
                    _known("attack", attack.name, ATTACKS),
                    eps,
                    attack.step.at(eps),
                    attack.steps,
                    attack.loss,
                    targeted,
                    pixels,
                    attack.active_set,
                    settings.seed,
                ),
                GradientSpec(
                    gradient,
                    slope,
                    settings.forward,
                    relation,
                    attack.input_slope,
                    attack.output_slope,
                    attack.floor_slope,
                ),
                settings.protocol,
                settings.history,
            )
            yield Planned(cell.replace(paper=place_in(grid.table, cell, victim.paper)), optional)


def _gradients(grid: Grid, victim: VictimEntry, attack: AttackEntry) -> list[tuple[str, float | None, str | None]]:
    """Return each gradient with a slope of LGM to try and a relation function, None standing for the default."""
    slopes: list[float | None] = [*attack.slope] or [None]
    relations: list[str | None] = [*attack.relation] or [None]
    found: list[tuple[str, float | None, str | None]] = []
    for gradient in grid.gradients:
        if gradient == "fgm":
            found += [("fgm", None, relation) for relation in relations]
        elif not is_static(victim.name) and attack.name not in GRADIENT_FREE:
            found += [("lgm", *choice) for choice in product(slopes, relations)]
    return found


def single_cell(flags: Mapping[str, Any]) -> Cell:
    """Return the one cell that a command's flags describe.

    Args:
        flags: `victim`, `attack`, `eps`, `gradient`, and whatever else a victim, an attack and a grid may say in YAML;
            None stands for the default.

    Raises:
        ConfigError: A value makes no sense; its flag is named.
        UnknownNameError: There is no such victim, attack or data set.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    victim = {"name": given["victim"], **_among(given, VictimEntry)}
    attack = {"name": given["attack"], **_among(given, AttackEntry)}
    content = {**_among(given, Grid), "victims": [victim], "attacks": [attack], "gradients": given["gradient"]}
    cells = [planned.cell for planned in unfold(check(Grid, content, "command line", _flag), Settings())]
    if not cells and given["attack"] in GRADIENT_FREE:
        raise ConfigError(f"{given['attack']} follows no gradient; use --gradient fgm, which stands for none here")
    if not cells:
        raise ConfigError(f"{given['victim']} has no occupancy, so there is no leaded gradient; use --gradient fgm")
    return cells[0]


def is_static(victim: str) -> bool:
    """Return whether a registered victim has no occupancy, so that FGM is the only gradient it has."""
    return ":" not in victim and victim.startswith(STATIC_FAMILIES)


def takes_points(attack: str) -> bool:
    """Return whether an attack moves points, so that eps is in metres; one that is not at hand moves none."""
    if attack in ATTACKS:
        return attack in POINT_ATTACKS
    try:
        return getattr(resolve("attack", attack, ATTACKS), "inputs", "images") == "points"
    except LgmBenchError:
        return False


def data_of(victim: str) -> str:
    """Return the data set of a registered victim: the end of its name.

    >>> data_of("minkunet34c-scannet"), data_of("skipnet14-mini")
    ('scannet', 'digits')

    Raises:
        UnknownNameError: The victim is not registered.
        ConfigError: The victim is a user's own class, whose name does not tell.
    """
    if ":" in victim:
        raise ConfigError(f"victim {victim!r} does not tell its data set; name one (data: in YAML, or --data)")
    parts = _known("victim", victim, VICTIMS).split("-")
    if parts[-1] != MINIATURE:
        return parts[-1]
    return f"{parts[-2]}-{MINIATURE}" if len(parts) > 2 else DATA_OF_MINIATURES


def place_in(table: str | None, cell: Cell, victim: str | None = None) -> tuple[str, ...] | None:
    """Return (table, row, victim, variant) of a cell in a table's layout, or None for a cell of no table.

    Args:
        table: Name of the table.
        cell: The cell.
        victim: The paper's victim whose numbers stand beside the cell's; None: the cell's own.
    """
    if table is None:
        return None
    layout = paper_tables()[table].layout
    row, variant = (
        f"eps={cell.attack.eps:g}",
        f"{cell.gradient.name}-targeted" if cell.attack.targeted else cell.gradient.name,
    )
    if cell.attack.name in GRADIENT_FREE:
        return (table, row, victim or cell.victim.name, cell.attack.name)
    if layout == "attack":
        row = f"{cell.attack.name} {cell.attack.valid_pixels:.0%}"
    elif layout == "slope":
        given = "released" if cell.gradient.slope is None else f"{cell.gradient.slope:g}"
        row, variant = "FGM" if cell.gradient.name == "fgm" else f"slope={given}", row
    elif layout == "relation" and cell.gradient.name == "lgm":
        variant = cell.gradient.relation or RELATION
    elif layout == "attack and eps":
        variant = f"{cell.attack.name}-{cell.gradient.name}"
    elif layout == "class":
        row = ""
    return (table, row, victim or cell.victim.name, variant)


def _among(flags: Mapping[str, Any], model: type[Strict]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if name in model.model_fields}


def _flag(location: tuple[int | str, ...]) -> str:
    names = [str(part) for part in location if not isinstance(part, int)]
    name = "step" if "step" in names else names[-1]
    return "--" + {"gradients": "gradient"}.get(name, name).replace("_", "-")


def _given(grid: Grid) -> dict[str, Any]:
    values = {name: getattr(grid, name) for name in Settings.model_fields}
    return {name: value for name, value in values.items() if value is not None}


def _victim(entry: VictimEntry) -> VictimSpec:
    mean, std = (_triple(values) for values in (entry.mean, entry.std))
    return VictimSpec(_known("victim", entry.name, VICTIMS), entry.checkpoint, mean, std, tuple(entry.kwargs.items()))


def _triple(values: Sequence[float] | None) -> tuple[float, float, float] | None:
    if values is None:
        return None
    red, green, blue = values
    return red, green, blue


def _slope(victim: VictimEntry, attack: str, eps: float, targeted: bool) -> float | None:
    given = victim.slopes[attack].at(eps) if attack in victim.slopes else None
    if given is not None or takes_points(attack):
        return given  # points: the released parameters of a cell are filled in together, see `building.resolved`
    return default_slope(victim.name, attack, eps, targeted)


def _known(kind: str, name: str, registry: Iterable[str]) -> str:
    if ":" not in name and name not in registry:
        raise UnknownNameError(kind, name, registry)
    return name
