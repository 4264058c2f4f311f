"""Training networks that label points: cross-entropy and the Lovasz-softmax loss (Berman et al. 2018)."""

from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.losses import lovasz_softmax
from lgm_bench.voxels import IGNORED, PointCloud
from victims.training.objective import Objective


class SegmentationObjective(Objective):
    """Cross-entropy plus the weighted Lovasz-softmax loss, over all labelled points of a batch.

    Both are as Cylinder3D is trained; weight 0 is cross-entropy alone, as MinkUNet is.
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
            labels: (N,) int64, `IGNORED` where there is none.
            epoch: Epochs done so far, with fraction.
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
