"""DynConv's training: the statistics of its noisy decisions, the loss it minimizes, and that it leads to sparsity."""

import math

import pytest
import torch
import torch.nn.functional as F

from lgm_bench import Occupancy
from lgm_bench.leaded import recorded_calls
from victims import load_victim
from victims.training.objectives import DynConvObjective, GumbelNoise
from victims.training.recipe import Recipe

DRAWS = 200_000


def recipe(**changes) -> Recipe:
    return Recipe(**{"objective": "dynconv", "epochs": 10, "learning_rate": 0.1, "target_share": 0.5} | changes)


def batch(n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 3, 32, 32, generator=generator), torch.randint(0, 10, (n,), generator=generator)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("score", [-2.0, -0.3, 0.0, 1.0, 4.0])
def test_a_position_is_executed_with_probability_sigmoid(score: float, temperature: float) -> None:
    torch.manual_seed(0)
    unit = Occupancy(inclusive=True)
    with GumbelNoise(temperature).applied_to(unit):
        decisions = unit(torch.full((DRAWS,), score))
    assert set(decisions.tolist()) <= {0.0, 1.0}
    probability = 1 / (1 + math.exp(-score))
    deviation = math.sqrt(probability * (1 - probability) / DRAWS)
    assert decisions.mean().item() == pytest.approx(probability, abs=4 * deviation)


def test_gradient_is_that_of_the_tempered_sigmoid_of_the_same_noise() -> None:
    temperature, unit = 0.5, Occupancy()
    scores = torch.linspace(-2, 2, 50, requires_grad=True)
    torch.manual_seed(3)
    with GumbelNoise(temperature).applied_to(unit):
        (gradient,) = torch.autograd.grad(unit(scores).sum(), scores)
    torch.manual_seed(3)
    uniform = torch.rand(50)
    soft = torch.sigmoid((scores + torch.log(uniform / (1 - uniform))) / temperature)
    assert torch.allclose(gradient, soft * (1 - soft) / temperature, atol=1e-5)


def test_loss_against_multiply_adds_counted_by_hand() -> None:
    """ResNet-8: residual branches of 2 x 16 x 16, 16 x 32 + 32 x 32 and 32 x 64 + 64 x 64 kernels of 3 x 3."""
    victim, (images, labels) = load_victim("dynconv8-cifar10", "random").train(), batch()
    objective = DynConvObjective(recipe(target_share=0.3, sparsity_weight=7.0, label_smoothing=0.2))
    torch.manual_seed(5)
    loss, logs = objective.loss(victim, images, labels, epoch=5.0)
    torch.manual_seed(5)
    with GumbelNoise(1.0).applied_to(victim), recorded_calls(victim) as calls:
        logits = victim(images)
    shares = [call.occupancy.mean().item() for call in calls[::2]]  # a mask, then its dilation
    costs = [1024 * 9 * 512, 256 * 9 * (512 + 1024), 64 * 9 * (2048 + 4096)]
    executed = sum(share * cost for share, cost in zip(shares, costs, strict=True)) / sum(costs)
    cross_entropy = F.cross_entropy(logits, labels, label_smoothing=0.2)
    assert loss.item() == pytest.approx(cross_entropy.item() + 7 * (executed - 0.3) ** 2, rel=1e-5)
    assert logs["executed"].item() == pytest.approx(sum(shares) / 3, rel=1e-5)
    assert logs["cross_entropy"].item() == pytest.approx(cross_entropy.item(), rel=1e-5)


def test_a_few_steps_reduce_what_is_executed() -> None:
    victim, (images, labels) = load_victim("dynconv8-cifar10", "random").train(), batch(16)
    objective = DynConvObjective(recipe(target_share=0.1, sparsity_weight=20.0))
    optimizer = torch.optim.SGD(victim.parameters(), lr=0.02, momentum=0.9)
    torch.manual_seed(0)
    shares = []
    for _ in range(12):
        loss, logs = objective.loss(victim, images, labels, epoch=5.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shares.append(logs["executed"].item())
    assert shares[0] > 0.4
    assert shares[-1] < 0.6 * shares[0]


def test_every_parameter_is_trained() -> None:
    victim, (images, labels) = load_victim("dynconv8-cifar10", "random").train(), batch(4)
    DynConvObjective(recipe()).loss(victim, images, labels, epoch=0.0)[0].backward()
    assert not [name for name, p in victim.named_parameters() if p.grad is None or not p.grad.any()]
