"""Training objectives: cross-entropy, and those of scenes, DynConv, SkipNet and any other network with gates."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded import Choice, Gate, GradientMethod, Occupancy, StraightThrough, recorded_calls
from lgm_bench.leaded.compute import Costs, decision_costs
from lgm_bench.losses import lovasz_softmax
from lgm_bench.voxels import IGNORED, PointCloud
from victims.dynconv import Masker
from victims.skipnet import SkipNet
from victims.training.recipe import Recipe


class Objective:
    """Cross-entropy with label smoothing.

    Args:
        recipe: Supplies weights and targets.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def loss(
        self,
        victim: nn.Module,
        inputs: Tensor | PointCloud,
        labels: Tensor,
        epoch: float,  # noqa: ARG002
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar to minimize, and values to log.

        Args:
            victim: Network in training mode.
            inputs: Images (B, 3, H, W) in [0, 1], or the points of shapes.
            labels: (B,) int64.
            epoch: Number of epochs done so far, with the fraction.
        """
        loss = self.cross_entropy(victim(inputs), labels).mean()
        return loss, {}

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the smoothed cross-entropy of each sample, (B,)."""
        return F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing, reduction="none")

    def prepare(self, victim: nn.Module) -> None:
        """Initialize parameters that need other values than PyTorch's defaults; called before the first step.

        Raises:
            ConfigError: The objective does not suit the network.
        """
        if getattr(victim, "task", None) == "segmentation":
            raise ConfigError(
                "objective cross_entropy is for images and shapes; for scenes choose segmentation (with "
                "lovasz_weight 0, it is cross-entropy alone)"
            )


class SegmentationObjective(Objective):
    """Cross-entropy plus the weighted Lovasz-softmax loss, over all labelled points of a batch.

    Cylinder3D is trained with both, MinkUNet with cross-entropy alone (weight 0).
    """

    def prepare(self, victim: nn.Module) -> None:
        if getattr(victim, "task", None) != "segmentation":
            raise ConfigError("objective segmentation is for networks that label points; choose cross_entropy")

    def loss(
        self,
        victim: nn.Module,
        inputs: PointCloud,
        labels: Tensor,
        epoch: float,  # noqa: ARG002
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar to minimize and its two parts.

        Args:
            victim: A `PointVictim` in training mode.
            inputs: The points.
            labels: (N,) int64, `IGNORED` for unlabelled points.
            epoch: Number of epochs done so far, with the fraction.
        """
        logits, labels = victim.scored(inputs, labels)
        kept = labels != IGNORED
        logits, labels = logits[kept], labels[kept]
        cross_entropy = self.cross_entropy(logits, labels).sum() / max(len(labels), 1)
        if self.recipe.lovasz_weight == 0:
            return cross_entropy, {}
        lovasz = lovasz_softmax(logits.softmax(1), labels)
        logs = {"cross_entropy": cross_entropy.detach(), "lovasz": lovasz.detach()}
        return cross_entropy + self.recipe.lovasz_weight * lovasz, logs


def sparsity_criterion(
    shares: Tensor, costs: Tensor, target: float, progress: float, relaxed_after: float = 0.33
) -> Tensor:
    """Return the penalty that pulls the executed share of the computation to `target` (Verelst & Tuytelaars 2020).

    The share of the whole network is pulled to the target. Each block's share is kept between bounds that are tight at
    first and reach [0, 1] when `progress` is `relaxed_after`.

    Args:
        shares: (blocks,) executed share of each block's positions, in [0, 1].
        costs: (blocks,) multiply-adds of each block if it is executed completely.
        target: Share of the multiply-adds to execute.
        progress: Share of the training run that is over, in [0, 1].
        relaxed_after: Share of the run after which a block's share is unbounded; above 1: never.
    """
    network = ((shares * costs).sum() / costs.sum() - target) ** 2
    return network + outside_bounds(shares, target, progress, relaxed_after)


def outside_bounds(shares: Tensor, target: float, progress: float, relaxed_after: float) -> Tensor:
    """Return the mean squared distance of each block's share to its bounds, see `sparsity_criterion`."""
    tightness = math.cos(min(progress / relaxed_after, 1.0) * math.pi / 2) ** 2
    below = (tightness * target - shares).clamp(min=0).square().mean()
    above = (shares - (1 - tightness * (1 - target))).clamp(min=0).square().mean()
    return below + above


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
            raise ConfigError("objective dynconv needs a DynConv, but this network has no masks; choose cross_entropy")

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
    """Return the multiply-adds of the residual branch for one output position, neglecting strides."""
    convolutions = [getattr(block, name) for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
    return sum(convolution.weight.numel() for convolution in convolutions)


GATE_BIAS = 2.0  # all gates are open at first


class SampledGates(GradientMethod):
    """Executes a block with probability sigmoid(q); autograd treats the decision as constant."""

    name = "sampled"

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:  # noqa: ARG002
        return torch.bernoulli(soft.detach())


class SkipNetObjective(Objective):
    """Supervised stage first; the last `reinforce_epochs` epochs are the hybrid reinforcement stage.

    With the published compute cost, alpha * executed share, short runs end up skipping every block. Here the supervised
    stage uses DynConv's sparsity criterion, which also keeps each gate undecided at first. The reinforcement stage
    charges alpha only while more than the target share is executed.
    """

    def prepare(self, victim: nn.Module) -> None:
        if not any(isinstance(module, Occupancy) for module in victim.modules()):
            raise ConfigError("objective skipnet needs gates, but this network has none; choose cross_entropy")
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
        """Return the REINFORCE surrogate: the cost after each decision times the decision's log-probability.

        Args:
            scores: (gates, B) scores q, with gradient.
            gates: (gates, B) sampled decisions, 0 or 1.
            cross_entropy: (B,) loss of each sample with these decisions.
        """
        log_probability = gates * nn.functional.logsigmoid(scores) + (1 - gates) * nn.functional.logsigmoid(-scores)
        price = self.recipe.compute_cost * (gates.mean() > self.recipe.target_share)
        cost_to_go = gates.flip(0).cumsum(0).flip(0) * price / len(gates)
        cost = cross_entropy + cost_to_go
        advantage = cost - cost.mean(dim=1, keepdim=True)  # the baseline, the batch mean, lowers the variance
        return (log_probability * advantage).sum(0).mean()


class GatedObjective(Objective):
    """Cross-entropy of any network with gates: hard decisions with the gradient of soft ones, of slope 1 / temperature.

    With early exits it is the mean over all exits. Added are the load balance of experts and, if the network says what
    its gates control, the sparsity criterion on its multiply-adds, with bounds for every single decision.
    """

    costs: Costs | None = None

    def prepare(self, victim: nn.Module) -> None:
        if not any(isinstance(module, Gate) for module in victim.modules()):
            raise ConfigError("objective gated needs gates, but this network has none; choose cross_entropy")

    def loss(self, victim: nn.Module, inputs: Tensor, labels: Tensor, epoch: float) -> tuple[Tensor, dict[str, Tensor]]:
        recipe = self.recipe
        with StraightThrough(1 / recipe.temperature).applied_to(victim), recorded_calls(victim) as calls:
            logits = victim(inputs)
        answers = [output for call in calls if call.outputs is not None for output in call.outputs.unbind(1)] or [
            logits
        ]
        cross_entropy = torch.stack([self.cross_entropy(answer, labels).mean() for answer in answers]).mean()
        loss, figures = cross_entropy, {"cross_entropy": cross_entropy.detach()}
        balance = [load_balance(call.score) for call in calls if isinstance(call.unit, Choice)]
        if balance:
            loss = loss + recipe.balance_weight * torch.stack(balance).mean()
        costs = self._costs(victim, inputs)
        if costs is not None and recipe.sparsity_weight > 0:
            executed = {call.name: call.executed for call in calls}
            share = (costs.of(executed) / costs.full).mean()
            shares = torch.cat([on.mean(dim=0).flatten() for on in executed.values()])
            bounds = outside_bounds(shares, recipe.target_share, epoch / recipe.epochs, recipe.bounds_relaxed_after)
            loss = loss + recipe.sparsity_weight * ((share - recipe.target_share) ** 2 + bounds)
            figures["executed"] = share.detach()
        return loss, figures

    def _costs(self, victim: nn.Module, inputs: Tensor) -> Costs | None:
        if self.costs is None:
            victim.eval()
            self.costs = decision_costs(victim, inputs[:1])
            victim.train()
        return self.costs


def load_balance(scores: Tensor) -> Tensor:
    """Return E * sum_e f_e P_e over E experts, at least 1 and 1 where all get the same (Fedus et al. 2022, Eq. 4-6).

    Args:
        scores: (B, E) of the router. f_e is the share of the samples that expert e gets, and P_e its mean probability.
    """
    n = scores.shape[-1]
    shares = nn.functional.one_hot(scores.argmax(dim=-1), n).to(scores.dtype).mean(dim=0)
    return n * (shares * scores.softmax(dim=-1).mean(dim=0)).sum()


OBJECTIVES: dict[str, type[Objective]] = {
    "cross_entropy": Objective,
    "dynconv": DynConvObjective,
    "skipnet": SkipNetObjective,
    "gated": GatedObjective,
    "segmentation": SegmentationObjective,
}
"""Objectives by their name in recipes."""
