"""Counts of changed decisions."""

import pytest
import torch
from torch import nn

from lgm_bench.errors import ConfigError
from lgm_bench.metrics.architecture_change import change_counts, change_over
from victims import load_victim
from victims.folding import folded

SHAPES = [(), (1, 4, 4), (1, 2, 3)]


def decisions(n: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand((n, *shape), generator=generator) < 0.4 for shape in SHAPES]


def test_agrees_with_a_count_one_by_one() -> None:
    before, after = decisions(5, 0), decisions(5, 1)
    counts = change_counts(before, after)
    assert counts.positions.tolist() == [1, 16, 6]
    for sample in range(5):
        for unit, (old, new) in enumerate(zip(before, after, strict=True)):
            pairs = list(zip(old[sample].flatten().tolist(), new[sample].flatten().tolist(), strict=True))
            assert counts.on_before[sample, unit] == sum(was for was, _ in pairs)
            assert counts.on_to_off[sample, unit] == sum(was and not is_now for was, is_now in pairs)
            assert counts.off_to_on[sample, unit] == sum(is_now and not was for was, is_now in pairs)


def test_units_that_do_not_agree_are_refused() -> None:
    with pytest.raises(ConfigError, match="same non-empty list of units"):
        change_counts(decisions(3, 0), decisions(3, 1)[:-1])
    with pytest.raises(ConfigError, match="non-empty"):
        change_counts([], [])


def test_a_module_declares_which_images_count() -> None:
    class Positions(nn.Module):
        change_over = "all"

    assert change_over(nn.Sequential(nn.ReLU())) == "attacked"
    assert change_over(nn.Sequential(nn.ReLU(), nn.Sequential(Positions()))) == "all"


@pytest.mark.parametrize(("name", "scope"), [("dynconv8-mini", "all"), ("skipnet14-mini", "attacked")])
def test_our_networks_do_as_the_paper_and_so_do_their_folded_copies(name: str, scope: str) -> None:
    victim = load_victim(name, "random")
    assert change_over(victim) == change_over(folded(victim)) == scope
