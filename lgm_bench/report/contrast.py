"""Samples on which the attacks of several arms end differently."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.report.groups import Group
from lgm_bench.results.reading import Finished

MOST_SHOWN = 4
"""Most samples that are shown."""


@dataclass(frozen=True)
class Kind:
    """Samples on which the attacks of all arms end alike.

    Attributes:
        title: How they end, such as "only LGM succeeds".
        differ: Whether one arm succeeds and the other does not.
        ids: The samples, in the order of the rows.
        arm: Place of the arm that alone succeeds; None if there is no such arm.
    """

    title: str
    differ: bool
    ids: Sequence[str]
    arm: int | None = None


def kinds(group: Group) -> list[Kind]:
    """Return the attacked samples of a group by the arms that succeed on them; a sample counts if all arms attacked it.

    In targeted cells a sample counts with the first target that counts, which is the one that examples show.
    """
    names = [gradient_name(gradient) for gradient in group.arms]
    arms = [_successes(arm) for arm in group.arms.values()]
    outcomes = {key: tuple(arm[key] for arm in arms) for key in arms[0] if all(key in arm for arm in arms)}

    def of(wanted: Callable[[tuple[bool, ...]], bool]) -> list[str]:
        return [key for key, outcome in outcomes.items() if wanted(outcome)]

    if len(arms) == 1:
        return [
            Kind(f"{names[0]} succeeds", False, of(all)),
            Kind(f"{names[0]} fails", False, of(lambda won: not any(won))),
        ]
    alone = [
        Kind(f"only {name} succeeds", True, [key for key, won in outcomes.items() if won[arm] and sum(won) == 1], arm)
        for arm, name in enumerate(names)
    ]
    several = Kind("several but not all succeed", True, of(lambda won: 1 < sum(won) < len(arms)))
    together = "both" if len(arms) == 2 else "all"
    alike = [
        Kind(f"{together} succeed", False, of(all)),
        Kind(f"{together} fail", False, of(lambda won: not any(won))),
    ]
    return [*alone[1:], alone[0], *([several] if len(arms) > 2 else []), *alike]


def chosen(all_kinds: Sequence[Kind], available: Set[str]) -> list[tuple[str, str]]:
    """Return the samples to show, with how they end, among the `available` ones.

    Where the arms differ, these are some of each such kind. Where no such sample is available, it is one of each other
    kind.
    """
    differing = [kind for kind in all_kinds if kind.differ and not available.isdisjoint(kind.ids)]
    alike = [kind for kind in all_kinds if not kind.differ]
    kept = [(kind.title, [key for key in kind.ids if key in available]) for kind in differing or alike]
    most = MOST_SHOWN if differing else sum(bool(keys) for _, keys in kept)
    turns = [(turn, place) for place, (_, keys) in enumerate(kept) for turn in range(len(keys))]
    picked = sorted((place, turn) for turn, place in sorted(turns)[:most])
    return [(kept[place][1][turn], kept[place][0]) for place, turn in picked]


def missing(all_kinds: Sequence[Kind], available: Set[str], advice: str = "") -> str:
    """Return a sentence about kinds that differ and of which no sample was kept; empty if there are none."""
    gone = [kind.title for kind in all_kinds if kind.differ and kind.ids and available.isdisjoint(kind.ids)]
    return f"No sample was kept on which {' or '.join(gone)}{advice}." if gone else ""


def _successes(arm: Finished) -> dict[str, bool]:
    """Return for each attacked sample whether the attack succeeded, for the first target that counts."""
    rows = arm.rows()
    columns = (rows.column(name).to_pylist() for name in ("id", "attacked", "success"))
    ends: dict[str, bool] = {}
    for key, attacked, success in zip(*columns, strict=True):
        if attacked:
            ends.setdefault(key, success)
    return ends
