"""Which samples are shown: those on which the arms differ, as their rows say."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hand_made import cell

from lgm_bench.report.contrast import chosen, kinds, missing
from lgm_bench.report.drawing import arm_styles
from lgm_bench.report.groups import Group

NAMES = [f"test-{number:03d}" for number in range(60)]


def arm(success: np.ndarray, attacked: np.ndarray, ids: list[str] = NAMES) -> Any:
    rows = pa.table({"id": ids, "attacked": attacked, "success": success & attacked})
    return SimpleNamespace(rows=lambda: rows, folder=Path())


def group(**arms: Any) -> Group:
    return Group(cell(), arm_styles(list(arms)), arms)


def random_arms(*names: str) -> tuple[Group, dict[str, tuple[bool, ...]]]:
    """A group and, by sample, the outcome of each arm where all attacked it."""
    random = np.random.default_rng(1)
    outcomes = {name: (random.random(60) < 0.5, random.random(60) < 0.8) for name in names}
    group_of = group(**{name: arm(*outcome) for name, outcome in outcomes.items()})
    both = {
        key: tuple(bool(success[number]) for success, _ in outcomes.values())
        for number, key in enumerate(NAMES)
        if all(attacked[number] for _, attacked in outcomes.values())
    }
    return group_of, both


def test_samples_are_sorted_by_which_arm_succeeds() -> None:
    group_of, outcomes = random_arms("fgm", "lgm")
    found = {kind.title: list(kind.ids) for kind in kinds(group_of)}
    assert list(found) == ["only LGM succeeds", "only FGM succeeds", "both succeed", "both fail"]
    wanted = [(False, True), (True, False), (True, True), (False, False)]
    for title, outcome in zip(found, wanted, strict=True):
        assert found[title] == [key for key, own in outcomes.items() if own == outcome]
        assert found[title]


def test_of_three_arms_each_alone_and_several() -> None:
    group_of, outcomes = random_arms("fgm", "lgm", "soft")
    found = {kind.title: list(kind.ids) for kind in kinds(group_of)}
    assert sum(len(ids) for ids in found.values()) == len(outcomes)
    assert found["only soft succeeds"] == [key for key, own in outcomes.items() if own == (False, False, True)]
    assert found["several but not all succeed"] == [key for key, own in outcomes.items() if sum(own) == 2]
    assert found["all fail"] == [key for key, own in outcomes.items() if not any(own)]


def test_one_arm_alone() -> None:
    group_of, outcomes = random_arms("fgm")
    succeeds, fails = kinds(group_of)
    assert (succeeds.title, fails.title) == ("FGM succeeds", "FGM fails")
    assert len(succeeds.ids) + len(fails.ids) == len(outcomes)
    assert [title for _, title in chosen([succeeds, fails], set(NAMES))] == ["FGM succeeds", "FGM fails"]


@pytest.mark.parametrize("kept", [NAMES, NAMES[:20], NAMES[::3], NAMES[:2]])
def test_what_is_shown_differs_wherever_something_that_differs_was_kept(kept: list[str]) -> None:
    group_of, outcomes = random_arms("fgm", "lgm")
    differing = [key for key in kept if key in outcomes and len(set(outcomes[key])) == 2]
    shown = chosen(kinds(group_of), set(kept))
    assert len(shown) == min(4, len(differing)) or (not differing and len(shown) <= 2)
    for key, title in shown:
        assert key in kept
        assert len(set(outcomes[key])) == (2 if differing else 1)
        assert title == {(False, True): "only LGM succeeds", (True, False): "only FGM succeeds"}.get(
            outcomes[key], "both succeed" if all(outcomes[key]) else "both fail"
        )
    if differing:
        present = {outcomes[key] for key in differing}
        assert {outcomes[key] for key, _ in shown} == present, "each kind that was kept is shown"


def test_samples_that_differ_but_were_not_kept_are_named() -> None:
    group_of, outcomes = random_arms("fgm", "lgm")
    every = kinds(group_of)
    without = {key for key in NAMES if outcomes.get(key) != (True, False)}
    assert missing(every, without, "; keep more") == "No sample was kept on which only FGM succeeds; keep more."
    assert missing(every, set(NAMES)) == ""


def test_targeted_samples_count_with_the_first_target_that_counts() -> None:
    ids = ["a", "a", "a", "b", "b", "b"]
    attacked = np.array([False, True, True, True, True, False])
    first = arm(np.array([True, False, True, True, False, True]), attacked, ids)
    second = arm(np.array([True, True, True, True, True, True]), attacked, ids)
    found = {kind.title: list(kind.ids) for kind in kinds(group(fgm=first, lgm=second))}
    assert found == {
        "only LGM succeeds": ["a"], "only FGM succeeds": [], "both succeed": ["b"], "both fail": []
    }  # fmt: skip
