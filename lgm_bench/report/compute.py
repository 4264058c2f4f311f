"""Compute of the hard network before and after attacks, where a network says what its gates control."""

from collections.abc import Sequence

from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import counted
from lgm_bench.report.dumbbells import CLEAN, Dumbbell, dumbbell_panel, legend_of
from lgm_bench.report.groups import Group, representative
from lgm_bench.report.model import Figure, Section
from lgm_bench.results.formats import Grid
from lgm_bench.results.levels import Level

CLEAN_COMPUTE, ATTACKED_COMPUTE, RECOVERED = "compute_clean", "compute_attacked", "recovered_compute"
CLEAN_EFFICACY, EFFICACY = "efficacy_clean", "efficacy"
HEADER = (
    "victim",
    "gradient",
    "clean MMACs",
    "attacked MMACs",
    "recovered",
    "efficacy clean",
    "efficacy attacked",
    "attack",
    "eps",
)
CAPTION = (
    "Multiply-adds that the hard network executes, as a share of those with every decision on. Clean is the mean over "
    "all samples, attacked the mean over the samples that were attacked. An adaptive network loses what it is for as "
    "the points move to the right."
)
NOTES = [
    "MMACs: million multiply-adds per image. Efficacy: share of the full network's compute that is saved.",
    "Recovered: (attacked - clean) / (full - clean) of the attacked samples, the share of the saving that the attack "
    "takes away; negative where the network computes less than before.",
]


def compute(groups: Sequence[Group], page: str) -> Section:
    """Return the section on compute; empty if no network says what its gates control.

    Args:
        groups: All groups of the report.
        page: Page of the section.
    """
    section = Section("compute", "Compute", page)
    known = [group for group in groups if any(_known(arm.result) for arm in group.arms.values())]
    if not known:
        return section
    styles = known[0].styles
    shown = [_dumbbell(group) for group in representative(known)]
    axis = "multiply-adds executed, of those of the full network"
    figure = Figure(
        "Compute before and after the longest attack on each victim: share of the full network",
        CAPTION,
        [[dumbbell_panel(shown, styles, axis)]],
        legend_of(shown, styles),
    )
    arms = [(group, name, arm.result) for group in known for name, arm in group.arms.items() if _known(arm.result)]
    section.headline = [_headline(arms)]
    section.figures = [figure]
    section.grids = [Grid("Compute in every cell", HEADER, [_line(*arm) for arm in arms], NOTES)]
    return section


def _known(result: CellResult) -> bool:
    return all(result.metrics.get(name) is not None for name in (CLEAN_COMPUTE, ATTACKED_COMPUTE, RECOVERED))


def _dumbbell(group: Group) -> Dumbbell:
    arms = {name: arm.result for name, arm in group.arms.items() if _known(arm.result)}
    first = next(iter(arms.values()))
    levels = {CLEAN: Level(1 - _figure(first, CLEAN_EFFICACY))}
    levels |= {name: Level(1 - _figure(result, EFFICACY)) for name, result in arms.items()}
    details = {CLEAN: f"{_figure(first, CLEAN_COMPUTE):.2f} million multiply-adds"}
    for name, result in arms.items():
        recovered = f"{_figure(result, RECOVERED):.1%} of the saving recovered"
        details[name] = f"{_figure(result, ATTACKED_COMPUTE):.2f} million multiply-adds, {recovered}"
    return Dumbbell(f"{group.cell.victim.name}, {group.attack} {group.eps}", levels, details=details)


def _headline(arms: Sequence[tuple[Group, str, CellResult]]) -> str:
    more = [arm for arm in arms if _figure(arm[2], RECOVERED) > 0]
    sentence = f"{len(more)} of {counted(len(arms), 'attack')} make the network compute more than on clean samples"
    if not more:
        return f"{sentence}."
    group, name, result = max(more, key=lambda arm: _figure(arm[2], RECOVERED))
    where = f"{group.cell.victim.name}, {group.attack} {group.eps}, {group.styles[name].name}"
    return f"{sentence}, at most by {_figure(result, RECOVERED):.1%} of what it saves ({where})."


def _line(group: Group, name: str, result: CellResult) -> tuple[str, ...]:
    shares = (f"{_figure(result, figure):.1%}" for figure in (RECOVERED, CLEAN_EFFICACY, EFFICACY))
    mmacs = (f"{_figure(result, figure):.2f}" for figure in (CLEAN_COMPUTE, ATTACKED_COMPUTE))
    return (group.cell.victim.name, group.styles[name].name, *mmacs, *shares, group.attack, group.eps)


def _figure(result: CellResult, name: str) -> float:
    value = result.metrics[name]
    return float("nan") if value is None else value
