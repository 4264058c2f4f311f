"""Transformers that drop tokens, mixtures of experts, gated channels: hard form, leaded form, a pass that skips."""

import pytest
import torch
from torch import Tensor, nn

from lgm_bench import LGM, Choice, check
from lgm_bench.leaded import decision_costs, recorded_calls
from lgm_bench.leaded.recording import hard_units
from victims.channel_gating import ChannelGatedBasic
from victims.dynconv import DynConv
from victims.moe import MixtureBlock, MoE
from victims.vit import AViT, Block, EViT, VisionTransformer, WeightedTokens, gathered


class Halts(AViT):
    """Tokens that halt after a step or two already with random weights."""

    scale, shift = 50.0, 0.0


FAMILIES = {
    "evit": lambda: EViT(3, {0: 45, 1: 32}, 8, 2, (4, 4)),
    "avit": lambda: Halts(4, 8, 2, (4, 4)),
    "moe": lambda: MoE(1, (4, 8)),
    "channelgate": lambda: DynConv((1, 1), (4, 8), ChannelGatedBasic),
}
UNITS = {"evit": 2, "avit": 3, "moe": 2, "channelgate": 2}


def network_of(family: str) -> nn.Module:
    torch.manual_seed(3)
    network = FAMILIES[family]().double().eval()
    if isinstance(network, VisionTransformer):
        network.stem[-1].weight.data.mul_(30)  # else random tokens differ little from image to image
    for block in network.modules():
        if isinstance(block, MixtureBlock):
            with torch.no_grad(), recorded_calls(block) as calls:
                network(images(6))
            block.router.bias.data.sub_(calls[0].score.mean(dim=0))
    return network


def images(n: int, seed: int = 0) -> Tensor:
    """Images of squares of 8 x 8 pixels: the means of plain noise would be the same in all images."""
    colours = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return nn.functional.interpolate(colours, scale_factor=8)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pass_that_skips_gives_the_same_logits(family: str) -> None:
    network, x = network_of(family), images(6)
    logits, decisions = hard_units(network, x)
    assert len(decisions) == UNITS[family]
    assert torch.allclose(network.deployed(x), logits, atol=1e-12)
    assert any(bool((on != on[:1]).any()) for on in decisions.values())
    assert not all(bool(on.all()) for on in decisions.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_check_finds_the_units_and_nothing_wrong(family: str) -> None:
    found = check(network_of(family), images(6))
    assert len(found.units) == UNITS[family]
    assert not found.problems
    assert all(unit.gradient_reaches and unit.cost for unit in found.units)
    assert found.soft_limit < 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_the_leaded_gradient_is_that_of_finite_differences(family: str) -> None:
    network, x = network_of(family), images(2).requires_grad_()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss(images: Tensor) -> Tensor:
        with LGM(3.0).applied_to(network):
            return nn.functional.cross_entropy(network(images), torch.tensor([1, 2]))

    (gradient,) = torch.autograd.grad(loss(x), x)
    step = 1e-6 * direction
    with torch.no_grad():
        expected = (loss(x + step) - loss(x - step)) / 2e-6
    assert (gradient * direction).sum().item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_experts_occupancies_sum_to_1() -> None:
    network = network_of("moe")
    with LGM(0.5).applied_to(network), recorded_calls(network) as calls:
        network(images(4))
    for call in calls:
        assert isinstance(call.unit, Choice)
        assert torch.allclose(call.occupancy.sum(dim=1), torch.ones(4, dtype=torch.float64))
        assert bool(((call.occupancy > 0) & (call.occupancy < 1)).all())


def test_attention_among_present_tokens_is_that_without_the_others() -> None:
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, 2, 2, 5, 4, dtype=torch.float64)
    present = torch.tensor([[1.0, 1, 0, 1, 0], [1.0, 0, 1, 1, 0]], dtype=torch.float64)
    means, attention = WeightedTokens()(queries, keys, values, present)
    for image in range(2):
        kept = present[image] > 0
        expected = nn.functional.scaled_dot_product_attention(
            queries[image][:, kept], keys[image][:, kept], values[image][:, kept]
        )
        assert torch.allclose(means[image][:, kept], expected)
        assert attention[image].sum() < 1  # the rest of the class token's attention is on itself
        assert bool((attention[image][present[image, 1:] == 0] == 0).all())


def test_a_token_that_was_dropped_changes_nothing() -> None:
    torch.manual_seed(0)
    block, x, present = Block(8, 2, keep=3), torch.randn(1, 7, 8), torch.tensor([[1.0, 1, 1, 1, 0, 1]])
    output, kept = block(x, present)
    moved = x.clone()
    moved[:, 5] += 1
    again, _ = block(moved, present)
    others = torch.tensor([True, *(kept[0] > 0).tolist()])
    assert kept.sum() == 3
    assert kept[0, 4] == 0
    assert torch.allclose(output[:, others], again[:, others])
    assert gathered(x, kept).shape == (1, 4, 8)


def test_the_widest_expert_costs_the_most() -> None:
    network, x = network_of("moe"), images(1)
    costs = decision_costs(network, x)
    narrow, middle, wide = costs.decisions["blocks.1.choice"].tolist()
    assert (middle / narrow, wide / narrow) == (2, 4)
    assert wide == 2 * 9 * 4 * 4 * 32 * 32  # two 3x3 convolutions of 4 channels at full size
