"""Every flag on a network that deserves it, and none on one that does not."""

import pytest
import torch
from attack_cases import Gated, batch_for, images
from torch import Tensor, nn
from toys import Constant, Deaf, Masked, Noisy, Rounded, grey

import lgm_bench
from lgm_bench.attacks.budgets import L2Ball, LinfBall
from lgm_bench.standard.flags import Flag, _single, everything


def flags(network: nn.Module, x: Tensor, label: int = 0, eps: float = 8 / 255) -> dict[str, str]:
    labels = torch.full((len(x),), label)
    found = lgm_bench.evaluate(network.eval(), (x, labels), eps, budget="standard-fast", progress=False).flags
    return {flag.name: flag.evidence for flag in found}


def test_a_sound_network_raises_none() -> None:
    network = Gated()
    x, labels, _ = batch_for(network, images(12))
    assert lgm_bench.evaluate(network, (x, labels), budget="standard-fast", progress=False).flags == ()


def test_zero_gradients() -> None:
    assert "4 of 4 images is exactly 0 under FGM (0 under lgm@6" in flags(Masked(), grey(0.52))["zero gradients"]


def test_square_is_better_than_gradients() -> None:
    found = flags(Rounded(), grey(0.515, 6), eps=16 / 255)
    assert "zero gradients" in found
    assert "fells 6 of the 6 images that every gradient leaves" in found["Square is better"]


def test_an_eps_so_large_that_everything_should_fall() -> None:
    assert "4 of 4 images withstand" in flags(Deaf(), grey(0.5))["large eps"]


def test_a_network_that_draws_lots() -> None:
    with pytest.raises(KeyError):
        flags(Gated().float(), images(4).float())["not deterministic"]
    assert "differ for 4 of 4 images" in flags(Noisy(), grey(0.5))["not deterministic"]


def test_sums_in_another_order_are_no_lots() -> None:
    network = Noisy()
    for scale, seen in ((1e-7, False), (1e-3, True)):
        network.scale = scale
        assert ("not deterministic" in flags(network, grey(0.5))) is seen


def test_gates_that_nothing_reaches_or_moves() -> None:
    found = flags(Constant(), torch.cat([grey(0.4, 2), grey(0.6, 2)]))
    assert "second do not depend on the images" in found["gates"]
    assert "1 of 2 gates decide the same for all of 4 images: second" in found["constant gates"]


def test_members_that_each_see_a_part() -> None:
    half = torch.arange(10) < 5
    ((name, evidence),) = _single({"apgd-ce": half, "apgd-ce/lgm": ~half})
    assert name == "members disagree"
    assert "leaves 50.0% and all of them together leave 0.0%" in evidence
    assert list(_single({"apgd-ce": half, "apgd-ce/lgm": torch.arange(10) < 6})) == []
    assert isinstance(next(_single({"a": half, "b": ~half})), Flag)


def test_everything_turns_any_image_grey() -> None:
    x = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    for budget in (LinfBall(8 / 255), L2Ball(0.5)):
        large = budget.resized(everything(budget, x))
        assert torch.allclose(large.around(x).project(torch.full_like(x, 0.5)), torch.full_like(x, 0.5))
