"""Training DynConv: Gumbel noise on the masks and a sparsity criterion (Verelst & Tuytelaars 2020)."""

import math

import torch
from torch import Tensor, nn

from lgm_bench.leaded import GradientMethod, recorded_calls
from victims.dynconv import Masker
from victims.training.objective import Objective

BOUNDS_RELAXED_AFTER = 0.33  # share of the run after which single blocks may take any share


class GumbelNoise(GradientMethod):
    """Hard decisions of noisy scores, differentiated as sigmoid((q + logistic noise) / temperature)."""

    name = "gumbel"

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def occupancy(self, score: Tensor, hard: Tensor) -> Tensor:  # noqa: ARG002
        uniform = torch.rand_like(score).clamp(1e-6, 1 - 1e-6)
        soft = torch.sigmoid((score + torch.logit(uniform)) / self.temperature)
        return (soft >= 0.5).to(score.dtype) + (soft - soft.detach())


def sparsity_criterion(shares: Tensor, costs: Tensor, target: float, progress: float) -> Tensor:
    """Return the penalty that pulls the executed share of the computation to `target`.

    The network's share is held at the target; each block's is kept between bounds that are tight at first and reach
    [0, 1] when `progress` is `BOUNDS_RELAXED_AFTER`.

    Args:
        shares: (blocks,) executed share of each block's positions, in [0, 1].
        costs: (blocks,) multiply-adds of each block when everything is executed.
        target: Share of the multiply-adds to execute.
        progress: Share of the training run that is over, in [0, 1].
    """
    tightness = math.cos(min(progress / BOUNDS_RELAXED_AFTER, 1.0) * math.pi / 2) ** 2
    network = ((shares * costs).sum() / costs.sum() - target) ** 2
    below = (tightness * target - shares).clamp(min=0).square().mean()
    above = (shares - (1 - tightness * (1 - target))).clamp(min=0).square().mean()
    return network + below + above


class DynConvObjective(Objective):
    """Cross-entropy under Gumbel noise plus the weighted sparsity criterion."""

    def loss(self, victim: nn.Module, images: Tensor, labels: Tensor, epoch: float) -> tuple[Tensor, dict[str, Tensor]]:
        blocks = [module for module in victim.modules() if hasattr(module, "masker")]
        masks = {module.mask for module in victim.modules() if isinstance(module, Masker)}
        with GumbelNoise(self.recipe.temperature).applied_to(victim), recorded_calls(victim) as calls:
            cross_entropy = self.cross_entropy(victim(images), labels).mean()
        occupancies = [call.occupancy for call in calls if call.unit in masks]
        shares = torch.stack([occupancy.mean() for occupancy in occupancies])
        positions = [occupancy[0].numel() for occupancy in occupancies]
        costs = shares.new_tensor([n * _weights(block) for n, block in zip(positions, blocks, strict=True)])
        sparsity = sparsity_criterion(shares, costs, self.recipe.target_share, epoch / self.recipe.epochs)
        loss = cross_entropy + self.recipe.sparsity_weight * sparsity
        return loss, {"cross_entropy": cross_entropy.detach(), "executed": shares.detach().mean()}


def _weights(block: nn.Module) -> int:
    """Multiply-adds of the residual branch for one output position (strides left aside)."""
    convolutions = [getattr(block, name) for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
    return sum(convolution.weight.numel() for convolution in convolutions)
