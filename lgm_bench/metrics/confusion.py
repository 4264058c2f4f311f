"""Confusion matrices of scenes, and their mIoU."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.metrics.iou import iou_counts, mean_iou
from lgm_bench.voxels import IGNORED


def confusion_matrix(labels: Tensor, predictions: Tensor, num_classes: int) -> Tensor:
    """Return the confusion matrix in points, (C, C) int64; rows are labels, columns predictions.

    Args:
        labels: (N,) int64 in [0, C); points labelled `IGNORED` are left out.
        predictions: (N,) int64 in [0, C).
        num_classes: Number of classes C.

    Raises:
        ConfigError: Labels and predictions have different shapes, or a class is out of range.

    >>> confusion_matrix(torch.tensor([0, 1, 1, 255]), torch.tensor([0, 1, 0, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ConfigError(
            f"labels and predictions must both be (N,), got {tuple(labels.shape)} and {tuple(predictions.shape)}"
        )
    counted = labels != IGNORED
    labels, predictions = labels[counted], predictions[counted]
    for name, values in (("label", labels), ("prediction", predictions)):
        if len(values) and (int(values.min()) < 0 or int(values.max()) >= num_classes):
            wrong = values[(values < 0) | (values >= num_classes)][0]
            raise ConfigError(f"{name} {int(wrong)} is out of range: there are {num_classes} classes, from 0")
    cells = torch.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def mean_iou_of(confusion: Tensor, ignored_classes: Sequence[int] = ()) -> Tensor:
    """Return the mean IoU (...) float64 of confusion matrices (..., C, C), on their device; see `iou`."""
    values = mean_iou(*iou_counts(confusion.cpu().numpy(), ignored_classes))
    return torch.from_numpy(values).to(confusion.device)
