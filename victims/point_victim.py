"""The base of all victims that take point clouds, with their training steps."""

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from lgm_bench.metrics.confusion import mean_iou_of
from lgm_bench.voxels import IGNORED, PointCloud
from lgm_bench.voxels.grid import Grid
from lgm_bench.voxels.voxelization import Voxelization, Voxels
from victims.training.recipe import Recipe
from victims.victim import Victim


class PointVictim(Victim):
    """A network on the voxels of point clouds; subclasses implement `voxel_logits`.

    Args:
        network: The network; its state dict has the official keys.
        grid: The grid of the voxels.
        num_classes: Number of logits.

    Attributes:
        task: "segmentation" (logits per point) or "classification" (logits per shape).
    """

    task = "segmentation"
    change_over = "all"

    def __init__(self, network: nn.Module, grid: Grid, num_classes: int) -> None:
        super().__init__(network)
        self.voxelization = Voxelization(grid)
        self.num_classes = num_classes

    def forward(self, cloud: PointCloud) -> Tensor:
        """Return logits: (N, C) of points, or (B, C) of shapes.

        Args:
            cloud: Points in metres with their features.

        Raises:
            DataError: A coordinate is not finite, or too far away.
        """
        voxels, logits = self.voxel_logits(cloud)
        return voxels.scatter(logits)

    def voxel_logits(self, cloud: PointCloud) -> tuple[Voxels, Tensor]:
        """Return the cloud's voxels and their logits (M, C)."""
        raise NotImplementedError

    def scored(self, cloud: PointCloud, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (K, C) and labels (K,) for the training loss; here those of points.

        Args:
            cloud: The points.
            labels: (N,) int64 of points, or (B,) of shapes.
        """
        return self(cloud), labels

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """Return the training loss of one batch."""
        size = len(batch.ids)
        loss, logs = self.objective.loss(self, batch.cloud, batch.labels, self.epoch_at(batch_index))
        figures = {"loss": loss.detach()} | logs
        self.log_dict(figures, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def configure_training(self, recipe: Recipe) -> None:
        super().configure_training(recipe)
        self.confusion = MulticlassConfusionMatrix(self.num_classes, ignore_index=IGNORED)

    def validation_step(self, batch: Any, batch_index: int) -> None:  # noqa: ARG002
        """Update the confusion matrix of the hard network."""
        self.confusion.update(self(batch.cloud), batch.labels)

    def on_validation_epoch_end(self) -> None:
        """Log the accuracy over all points or shapes of the epoch and, for segmentation, the mean IoU."""
        counts = self.confusion.compute()
        self.confusion.reset()
        self.log("accuracy", counts.diagonal().sum() / counts.sum(), prog_bar=True)
        if self.task == "segmentation":
            ignored = getattr(self.trainer.datamodule, "ignored_classes", ())  # type: ignore[attr-defined]
            self.log("miou", mean_iou_of(counts, ignored).float(), prog_bar=True)


def majority(labels: Tensor, row: Tensor, n_voxels: int) -> Tensor:
    """Return the most common label of each voxel's points, (M,); the smallest in a tie, `IGNORED` without points.

    Args:
        labels: (N,) int64 in [0, 255].
        row: (N,) int64 index of each point's voxel.
        n_voxels: Number M of voxels.
    """
    pairs, counts = torch.unique(row * (IGNORED + 1) + labels, return_counts=True)
    voxel, label = pairs // (IGNORED + 1), pairs % (IGNORED + 1)
    most = counts.new_zeros(n_voxels).scatter_reduce(0, voxel, counts, "amax")
    winners = counts == most[voxel]
    best = labels.new_full((n_voxels,), IGNORED)
    return best.scatter_reduce(0, voxel[winners], label[winners], "amin", include_self=False)
