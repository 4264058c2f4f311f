"""Random noise: within the budget, the same for every batch, the worst of several draws."""

import torch
from torch import Tensor

from lgm_bench import architecture
from lgm_bench.attacks import L2Ball, RandomNoise
from lgm_bench.losses import margin
from victims import load_victim

EPS = 16 / 255


def images() -> Tensor:
    return torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_one_draw_is_uniform_and_depends_on_the_ids_alone() -> None:
    victim, x, labels = load_victim("dynconv8-mini"), images() * 0.5 + 0.25, torch.zeros(8, dtype=torch.int64)
    moved = RandomNoise(EPS).perturb(victim, x, labels)
    change = (moved - x) / EPS
    assert change.abs().max() <= 1 + 1e-5
    assert abs(change.mean()) < 0.02
    assert abs(change.std() - 3**-0.5) < 0.01
    alone = RandomNoise(EPS).perturb(victim, x[5:6], labels[5:6], ids=["5"])
    assert torch.equal(alone[0], moved[5])
    assert not torch.equal(RandomNoise(EPS, seed=1).perturb(victim, x, labels), moved)
    assert architecture(victim, moved)


def test_of_several_draws_the_worst_is_returned_even_if_it_helps_the_network() -> None:
    victim, x = load_victim("dynconv8-mini"), images()
    labels = victim(x).argmax(dim=1)
    few, many = (RandomNoise(EPS, steps=steps).perturb(victim, x, labels) for steps in (1, 6))
    before, after = (margin(victim(moved), labels) for moved in (few, many))
    assert (after <= before + 1e-6).all(), "the first of six draws is the single draw"
    assert (after < before - 1e-6).any()
    assert not torch.equal(few, x)


def test_in_an_l2_ball() -> None:
    victim, x = load_victim("dynconv8-mini"), images()
    moved = RandomNoise(L2Ball(0.5)).perturb(victim, x, torch.zeros(8, dtype=torch.int64))
    assert ((moved - x).flatten(1).norm(dim=1) <= 0.5 + 1e-5).all()
