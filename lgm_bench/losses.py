"""Losses that several folders use: cross-entropy, the margin of a class, and the Lovasz-softmax of segmentation."""

import torch
import torch.nn.functional as F
from torch import Tensor

MANY = 10_000
"""Rows of logits from which on their softmax is computed with the classes first."""


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the cross-entropy (N,) of logits (N, C) and classes (N,) int64.

    On a CPU, PyTorch's softmax over few classes takes twice as long along the last dimension as along another one. The
    points of a scene therefore go through it with the classes first.
    """
    if len(logits) < MANY:
        return F.cross_entropy(logits, classes, reduction="none")
    return F.cross_entropy(logits.T.contiguous()[None], classes[None], reduction="none").squeeze(0)


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Return z_y - max_{j != y} z_j, (B,): how far class y leads (positive) or lags (negative)."""
    own = F.one_hot(classes, logits.shape[1]).bool()
    return logits.gather(1, classes[:, None]).squeeze(1) - logits.masked_fill(own, -torch.inf).amax(dim=1)


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the Lovasz-softmax loss, a scalar: the mean extended 1 - IoU of the classes among the labels.

    Berman et al. 2018, Eq. (8-12): the errors of a class in descending order, each weighted by how much it adds to
    1 - IoU after the larger ones. The gradient treats order and weights as constant.

    Args:
        probabilities: (N, C), the softmax of logits.
        labels: (N,) int64 in [0, C), without ignored points. With N = 0 the loss is 0.
    """
    present = labels.bincount(minlength=probabilities.shape[1]).nonzero().squeeze(1)
    if len(present) == 0:
        return probabilities.sum() * 0
    losses = [_of_class(probabilities[:, number], labels == number) for number in present.tolist()]
    return torch.stack(losses).mean()


def _of_class(probability: Tensor, foreground: Tensor) -> Tensor:
    """Return the extended 1 - IoU of one class, from its probability (N,) and its points (N,) bool."""
    errors = torch.where(foreground, 1 - probability, probability)  # Eq. (8)
    ordered, order = errors.sort(descending=True)
    return ordered @ jaccard_steps(foreground[order]).to(ordered.dtype)


def jaccard_steps(foreground: Tensor) -> Tensor:
    """Return how much 1 - IoU grows (N,) with each further misclassified point, in the order of the points.

    Args:
        foreground: (N,) bool, whether each point belongs to the class; at least one does.

    >>> jaccard_steps(torch.tensor([True, False])).tolist()
    [1.0, 0.0]
    """
    hits = foreground.double()
    total = hits.sum()
    intersection = total - hits.cumsum(0)
    union = total + (1 - hits).cumsum(0)
    loss = 1 - intersection / union
    return torch.cat([loss[:1], loss.diff()])
