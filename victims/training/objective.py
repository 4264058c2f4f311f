"""What a training run minimizes; static networks use the base class, adaptive families a subclass."""

import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.voxels import PointCloud
from victims.training.recipe import Recipe


class Objective:
    """Cross-entropy with label smoothing.

    Args:
        recipe: Its weights and targets.
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
        """Return the scalar to minimize and what to log.

        Args:
            victim: Network in training mode.
            inputs: Images (B, 3, H, W) in [0, 1], or the points of shapes.
            labels: (B,) int64.
            epoch: Epochs done so far, with fraction.
        """
        loss = self.cross_entropy(victim(inputs), labels).mean()
        return loss, {}

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the smoothed cross-entropy of each sample, (B,)."""
        return F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing, reduction="none")

    def prepare(self, victim: nn.Module) -> None:
        """Initialize what needs more than PyTorch's defaults, before the first step.

        Raises:
            ConfigError: The objective is for other networks.
        """
        if getattr(victim, "task", None) == "segmentation":
            raise ConfigError(
                "objective cross_entropy is for images and shapes; for scenes choose segmentation, which with "
                "lovasz_weight 0 is cross-entropy alone"
            )
