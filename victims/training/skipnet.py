"""Training SkipNet: supervised gates with a cost, then sampled gates, hybrid reinforcement (Wang et al. 2018)."""

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod, Occupancy, StraightThrough, recorded_calls
from victims.skipnet import SkipNet
from victims.training.objective import Objective
from victims.training.sparsity import sparsity_criterion

GATE_BIAS = 2.0  # all gates open at first


class SampledGates(GradientMethod):
    """Executes a block with probability sigmoid(q); constant to autograd."""

    name = "sampled"

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:  # noqa: ARG002
        return torch.bernoulli(soft.detach())


class SkipNetObjective(Objective):
    """Supervised stage first; the last `reinforce_epochs` epochs are the hybrid reinforcement stage.

    The published compute cost, alpha * executed share, drives short runs into skipping everything. Here the supervised
    stage uses the criterion of DynConv, which also keeps every single gate undecided at first, and the reinforcement
    stage charges alpha only while more than the target share is executed.
    """

    def prepare(self, victim: nn.Module) -> None:
        if not any(isinstance(module, Occupancy) for module in victim.modules()):
            raise ConfigError("objective skipnet is for gates, and this network has none; choose cross_entropy")
        for module in victim.modules():
            if isinstance(module, SkipNet):
                nn.init.constant_(module.control.proj.bias, GATE_BIAS)

    def loss(self, victim: nn.Module, inputs: Tensor, labels: Tensor, epoch: float) -> tuple[Tensor, dict[str, Tensor]]:
        sampled = epoch >= self.recipe.epochs - self.recipe.reinforce_epochs
        method: GradientMethod = SampledGates(slope=1.0) if sampled else StraightThrough(slope=1.0)
        with method.applied_to(victim), recorded_calls(victim) as calls:
            cross_entropy = self.cross_entropy(victim(inputs), labels)
        gates = torch.stack([call.occupancy for call in calls])  # (gates, B)
        executed = gates.mean()
        if sampled:
            scores = torch.stack([call.score for call in calls])
            loss = cross_entropy.mean() + self.reinforcement(scores, gates, cross_entropy.detach())
        else:
            shares = gates.mean(dim=1)
            recipe, costs = self.recipe, torch.ones_like(shares)
            progress = epoch / recipe.epochs
            cost = sparsity_criterion(shares, costs, recipe.target_share, progress, recipe.bounds_relaxed_after)
            loss = cross_entropy.mean() + recipe.sparsity_weight * cost
        return loss, {"cross_entropy": cross_entropy.detach().mean(), "executed": executed.detach()}

    def reinforcement(self, scores: Tensor, gates: Tensor, cross_entropy: Tensor) -> Tensor:
        """Return the REINFORCE surrogate: what follows a gate's decision, times the log-probability of it.

        Args:
            scores: (gates, B) scores q, with gradient.
            gates: (gates, B) sampled decisions, 0 or 1.
            cross_entropy: (B,) loss of each sample under these decisions.
        """
        log_probability = gates * nn.functional.logsigmoid(scores) + (1 - gates) * nn.functional.logsigmoid(-scores)
        price = self.recipe.compute_cost * (gates.mean() > self.recipe.target_share)
        cost_to_go = gates.flip(0).cumsum(0).flip(0) * price / len(gates)
        cost = cross_entropy + cost_to_go
        advantage = cost - cost.mean(dim=1, keepdim=True)  # the batch mean as baseline lowers the variance
        return (log_probability * advantage).sum(0).mean()
