"""SkipNet's training: sampled gates, and the reinforcement surrogate against expectations that can be enumerated."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from lgm_bench import Occupancy
from lgm_bench.leaded import architecture
from victims import load_victim
from victims.training.objectives import GATE_BIAS, SampledGates, SkipNetObjective
from victims.training.recipe import Recipe

GATES, BATCH = 2, 2
TABLE = torch.tensor([[0.3, 1.7, 2.2, 0.1], [1.1, 0.2, 0.9, 3.0]], dtype=torch.float64)
"""Cross-entropy of each sample under each of its four architectures."""


def recipe(**changes) -> Recipe:
    return Recipe(**{"objective": "skipnet", "epochs": 10, "learning_rate": 0.1, "reinforce_epochs": 4} | changes)


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 3, 32, 32, generator=generator), torch.randint(0, 10, (n,), generator=generator)


def probability(scores: Tensor, gates: Tensor) -> Tensor:
    on = torch.sigmoid(scores)
    return (gates * on + (1 - gates) * (1 - on)).prod(dim=0)


def cross_entropies(gates: Tensor) -> Tensor:
    index = (2 * gates[0] + gates[1]).long()
    return TABLE[torch.arange(BATCH), index]


def outcomes() -> list[Tensor]:
    """All decisions (GATES, BATCH) that a batch can take."""
    return [
        torch.tensor(bits, dtype=torch.float64).view(GATES, BATCH)
        for bits in itertools.product((0, 1), repeat=GATES * BATCH)
    ]


def expected_cost(scores: Tensor, alpha: float) -> Tensor:
    """Expectation of the mean over samples of cross-entropy + alpha * executed share."""
    return sum(
        probability(scores, gates).prod() * (cross_entropies(gates) + alpha * gates.mean(dim=0)).mean()
        for gates in outcomes()
    )


@pytest.mark.parametrize("alpha", [0.0, 0.8])
def test_surrogate_gradient_is_that_of_the_expected_cost(alpha: float) -> None:
    """The baseline is the batch's mean, which holds the sample itself: the gradient is (B - 1) / B of the exact one."""
    objective = SkipNetObjective(recipe(compute_cost=alpha, target_share=1e-9))
    scores = torch.tensor([[0.4, -1.0], [0.9, 0.2]], dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad(expected_cost(scores, alpha), scores)
    surrogate = torch.zeros_like(scores)
    for gates in outcomes():
        loss = objective.reinforcement(scores, gates, cross_entropies(gates))
        weight = probability(scores, gates).prod().detach()
        surrogate += weight * torch.autograd.grad(loss, scores)[0]
    assert torch.allclose(surrogate, exact * (BATCH - 1) / BATCH, atol=1e-12)


def test_nothing_is_charged_up_to_the_target() -> None:
    scores = torch.zeros(2, 2, dtype=torch.float64)
    gates = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)  # half of them

    def surrogate(target: float, price: float) -> float:
        objective = SkipNetObjective(recipe(compute_cost=price, target_share=target))
        return objective.reinforcement(scores, gates, cross_entropies(gates)).item()

    assert surrogate(0.5, 9.0) == surrogate(0.5, 0.0)
    assert surrogate(0.4, 9.0) != surrogate(0.4, 0.0)


@pytest.mark.parametrize("score", [-1.5, 0.0, 2.0])
def test_gates_are_sampled_with_probability_sigmoid(score: float) -> None:
    torch.manual_seed(0)
    unit, draws = Occupancy(), 100_000
    scores = torch.full((draws,), score, requires_grad=True)
    with SampledGates(slope=1.0).applied_to(unit):
        decisions = unit(scores)
    expected = 1 / (1 + math.exp(-score))
    assert decisions.mean().item() == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / draws))
    assert not decisions.requires_grad


def test_all_gates_are_open_at_first() -> None:
    victim = load_victim("skipnet20-cifar10", "random")
    SkipNetObjective(recipe()).prepare(victim)
    assert victim.network.control.proj.bias.tolist() == [GATE_BIAS]
    assert all(bool(decision.all()) for decision in architecture(victim, batch()[0]))


@pytest.mark.parametrize(("epoch", "sampled"), [(0.0, False), (5.99, False), (6.0, True), (9.5, True)])
def test_the_last_epochs_sample(epoch: float, sampled: bool) -> None:
    victim, (images, labels) = load_victim("skipnet20-cifar10", "random").train(), batch()
    objective, losses = SkipNetObjective(recipe()), []
    objective.prepare(victim)
    for seed in (0, 1):
        torch.manual_seed(seed)
        loss, logs = objective.loss(victim, images, labels, epoch)
        losses.append(loss)
        assert 0 <= logs["executed"].item() <= 1
    assert (losses[0].item() != losses[1].item()) == sampled
    losses[0].backward()
    untrained = [name for name, p in victim.named_parameters() if p.grad is None or not p.grad.any()]
    # Nothing follows the last block's gate features.
    assert untrained == ["network.group3_gate2.1.weight", "network.group3_gate2.1.bias"]


def test_supervised_stage_closes_gates_down_to_the_target() -> None:
    victim, (images, labels) = load_victim("skipnet20-cifar10", "random").train(), batch(8)
    objective = SkipNetObjective(recipe(target_share=0.2, sparsity_weight=20.0, reinforce_epochs=0))
    objective.prepare(victim)
    optimizer = torch.optim.SGD(victim.network.control.parameters(), lr=0.1, momentum=0.9)
    shares = []
    for _ in range(15):
        loss, logs = objective.loss(victim, images, labels, epoch=0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shares.append(logs["executed"].item())
    assert shares[0] == 1
    assert shares[-1] < 0.8
