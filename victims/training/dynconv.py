"""Training DynConv: Gumbel noise on the masks and a sparsity criterion (Verelst & Tuytelaars 2020)."""

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod, recorded_calls
from victims.dynconv import Masker
from victims.training.objective import Objective
from victims.training.sparsity import sparsity_criterion


class GumbelNoise(GradientMethod):
    """Hard decisions of noisy scores, differentiated as sigmoid((q + logistic noise) / temperature)."""

    name = "gumbel"

    def __init__(self, temperature: float) -> None:
        super().__init__(1 / temperature)
        self.temperature = temperature

    def softened(self, margin: Tensor, slope: float) -> Tensor:  # noqa: ARG002
        uniform = torch.rand_like(margin).clamp(1e-6, 1 - 1e-6)
        return torch.sigmoid((margin + torch.logit(uniform)) / self.temperature)

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:  # noqa: ARG002
        return (soft >= 0.5).to(soft.dtype) + (soft - soft.detach())


class DynConvObjective(Objective):
    """Cross-entropy under Gumbel noise plus the weighted sparsity criterion."""

    def prepare(self, victim: nn.Module) -> None:
        if not any(isinstance(module, Masker) for module in victim.modules()):
            raise ConfigError("objective dynconv is for DynConvs, and this network has no masks; choose cross_entropy")

    def loss(self, victim: nn.Module, inputs: Tensor, labels: Tensor, epoch: float) -> tuple[Tensor, dict[str, Tensor]]:
        blocks = [module for module in victim.modules() if hasattr(module, "masker")]
        masks = {module.mask for module in victim.modules() if isinstance(module, Masker)}
        with GumbelNoise(self.recipe.temperature).applied_to(victim), recorded_calls(victim) as calls:
            cross_entropy = self.cross_entropy(victim(inputs), labels).mean()
        occupancies = [call.occupancy for call in calls if call.unit in masks]
        shares = torch.stack([occupancy.mean() for occupancy in occupancies])
        positions = [occupancy[0].numel() for occupancy in occupancies]
        costs = shares.new_tensor([n * _weights(block) for n, block in zip(positions, blocks, strict=True)])
        recipe, progress = self.recipe, epoch / self.recipe.epochs
        sparsity = sparsity_criterion(shares, costs, recipe.target_share, progress, recipe.bounds_relaxed_after)
        loss = cross_entropy + self.recipe.sparsity_weight * sparsity
        return loss, {"cross_entropy": cross_entropy.detach(), "executed": shares.detach().mean()}


def _weights(block: nn.Module) -> int:
    """Multiply-adds of the residual branch for one output position (strides left aside)."""
    convolutions = [getattr(block, name) for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
    return sum(convolution.weight.numel() for convolution in convolutions)
