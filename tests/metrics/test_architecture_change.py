"""Counts of changed decisions."""

import pytest
import torch
from torch import nn

from lgm_bench.metrics.architecture_change import ChangeCounts, change_counts, change_over
from victims import load_victim
from victims.folding import folded

SHAPES = {"layer": (), "positions": (1, 4, 4), "tokens": (1, 2, 3)}


def decisions(n: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand((n, *shape), generator=generator) < 0.4 for name, shape in SHAPES.items()}


def test_agrees_with_a_count_one_by_one() -> None:
    before, after = decisions(5, 0), decisions(5, 1)
    counts = change_counts(before, after)
    assert counts.positions.tolist() == [[1, 16, 6]] * 5
    for sample in range(5):
        for unit, name in enumerate(SHAPES):
            old, new = before[name][sample].flatten().tolist(), after[name][sample].flatten().tolist()
            pairs = list(zip(old, new, strict=True))
            assert counts.on_before[sample, unit] == sum(was for was, _ in pairs)
            assert counts.on_to_off[sample, unit] == sum(was and not is_now for was, is_now in pairs)
            assert counts.off_to_on[sample, unit] == sum(is_now and not was for was, is_now in pairs)


def test_units_are_compared_where_they_decided_both_times() -> None:
    """After an early exit later units decide nothing; a network that drops tokens decides about fewer of them."""
    before, after = decisions(4, 0), decisions(4, 1)
    fewer = {"tokens": after["tokens"][:, :, :, :2], "positions": after["positions"], "late": after["layer"]}
    counts, whole = change_counts(before, fewer), change_counts(before, after)
    assert counts.positions.tolist() == [[0, 16, 4]] * 4
    assert torch.equal(counts.on_to_off[:, 1], whole.on_to_off[:, 1])
    changed = before["tokens"][..., :2] & ~after["tokens"][..., :2]
    assert torch.equal(counts.on_to_off[:, 2], changed.flatten(1).sum(1))
    assert not counts.on_before[:, 0].any()


def test_a_network_that_decides_nothing_has_no_counts() -> None:
    assert change_counts({}, decisions(3, 0)) is None


def test_counts_of_parts_are_those_of_the_whole() -> None:
    before, after = decisions(6, 0), decisions(6, 1)
    parts = []
    for places in (torch.tensor([1, 4]), torch.tensor([0, 2, 3, 5])):
        of_part = [{name: unit[places] for name, unit in both.items()} for both in (before, after)]
        parts.append((places, change_counts(*of_part)))
    for values, expected in zip(ChangeCounts.joined(parts, 6), change_counts(before, after), strict=True):
        assert torch.equal(values, expected)


def test_a_module_declares_which_samples_count() -> None:
    class Positions(nn.Module):
        change_over = "all"

    assert change_over(nn.Sequential(nn.ReLU())) == "attacked"
    assert change_over(nn.Sequential(nn.ReLU(), nn.Sequential(Positions()))) == "all"
    assert change_over(load_victim("minkunet14-scannet", "random")) == "all"


@pytest.mark.parametrize(("name", "scope"), [("dynconv8-mini", "all"), ("skipnet14-mini", "attacked")])
def test_our_networks_do_as_the_paper_and_so_do_their_folded_copies(name: str, scope: str) -> None:
    victim = load_victim(name, "random")
    assert change_over(victim) == change_over(folded(victim)) == scope
