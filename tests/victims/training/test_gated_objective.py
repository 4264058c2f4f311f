"""The objective of any network with gates: its parts against their definitions, and that it trains the gates."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench import StraightThrough
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import decision_costs
from lgm_bench.leaded.recording import hard_units
from victims import load_victim
from victims.training.objectives import GatedObjective, load_balance
from victims.training.recipe import Recipe
from victims.victim import Victim


def recipe(**changes) -> Recipe:
    return Recipe(**{"objective": "gated", "epochs": 10, "learning_rate": 0.1, "bounds_relaxed_after": 0.1} | changes)


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 3, 32, 32, generator=generator), torch.randint(0, 10, (n,), generator=generator)


def training(name: str, chosen: Recipe) -> tuple[Victim, GatedObjective]:
    """Return a network in training mode whose batch norms do not move, so that a second pass repeats the first."""
    victim = load_victim(name, "random", seed=2)
    objective = GatedObjective(chosen)
    objective.prepare(victim.train())
    for module in victim.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.0
    return victim, objective


def test_cross_entropy_and_the_distance_to_the_target() -> None:
    images, labels = batch()
    victim, objective = training("channelgate8-mini", recipe(target_share=0.3, sparsity_weight=7.0))
    loss, figures = objective.loss(victim, images, labels, epoch=5.0)  # bounds are relaxed
    assert victim.training
    logits, decisions = hard_units(victim, images)
    costs = decision_costs(victim.eval(), images[:1])
    share = (costs.of(decisions) / costs.full).mean()
    cross_entropy = F.cross_entropy(logits, labels, label_smoothing=0.1)
    assert figures["executed"].item() == pytest.approx(share.item())
    assert loss.item() == pytest.approx((cross_entropy + 7 * (share - 0.3) ** 2).item(), rel=1e-5)


def test_every_decision_is_kept_between_its_bounds() -> None:
    images, labels = batch()
    victim, objective = training("channelgate8-mini", recipe(target_share=0.5, sparsity_weight=1.0))
    for block in victim.network.children():
        for part in block.modules():
            if hasattr(part, "score"):
                part.score[-1].bias.data.fill_(9.0)  # every channel is open
    loss, figures = objective.loss(victim, images, labels, epoch=0.0)
    assert figures["executed"].item() == pytest.approx(1)
    penalty = loss - figures["cross_entropy"]
    assert penalty.item() == pytest.approx(0.5**2 + 0.5**2, rel=1e-4)  # off the target, and above the bound of .5


def test_of_early_exits_all_answers_count() -> None:
    images, labels = batch()
    victim, objective = training("earlyexit8-mini", recipe(sparsity_weight=0.0))
    loss, _ = objective.loss(victim, images, labels, epoch=0.0)
    exits = victim.network.all_exits((images - victim.mean) / victim.std)
    expected = [F.cross_entropy(exits[:, k], labels, label_smoothing=0.1).item() for k in range(2)]
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_load_balance_by_hand() -> None:
    even = torch.tensor([[9.0, 0], [0, 9.0]])
    assert load_balance(even).item() == pytest.approx(1)
    one_sided = torch.tensor([[1.0, 0], [1.0, 0], [0, 3.0], [1.0, 0]])
    p = one_sided.softmax(dim=1).mean(dim=0)
    assert load_balance(one_sided).item() == pytest.approx((2 * (0.75 * p[0] + 0.25 * p[1])).item())


@pytest.mark.parametrize("name", ["moe14-mini", "channelgate8-mini", "avit4-mini"])
def test_what_decides_is_trained(name: str) -> None:
    images, labels = batch()
    victim, objective = training(name, recipe())
    objective.loss(victim, images, labels, epoch=0.0)[0].backward()
    without = [key for key, parameter in victim.named_parameters() if parameter.grad is None]
    assert not without
    deciding = [parameter.grad for key, parameter in victim.named_parameters() if "router" in key or "score" in key]
    assert all(bool((gradient != 0).any()) for gradient in deciding)


def test_hard_decisions_are_what_is_trained_on() -> None:
    images, _ = batch()
    victim = load_victim("moe14-mini", "random", seed=2)
    with torch.no_grad(), StraightThrough(1.0).applied_to(victim):
        assert torch.equal(victim(images), hard_units(victim, images)[0])


def test_a_network_without_gates_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs gates"):
        GatedObjective(recipe()).prepare(load_victim("resnet8-mini", "random"))
