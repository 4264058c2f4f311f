"""Losses that several layers use: margins of classes, and the Lovasz-softmax of segmentation."""

import torch
import torch.nn.functional as F
from torch import Tensor


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Return z_y - max_{j != y} z_j, (B,): how far class y leads (positive) or lags (negative)."""
    one = F.one_hot(classes, logits.shape[1]).bool()
    return logits.gather(1, classes[:, None]).squeeze(1) - logits.masked_fill(one, -torch.inf).amax(dim=1)


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the Lovasz-softmax loss, a scalar: the mean over the classes among the labels of 1 - IoU, extended.

    Berman et al. 2018, Eq. (8-12): a class's errors in descending order are weighted by what each of them adds to
    1 - IoU, where the larger ones are errors already. Constant to autograd are the order and the weights.

    Args:
        probabilities: (N, C), the softmax of logits.
        labels: (N,) int64 in [0, C); leave out points that are ignored. Without any the loss is 0.
    """
    present = labels.bincount(minlength=probabilities.shape[1]).nonzero().squeeze(1)
    if len(present) == 0:
        return probabilities.sum() * 0
    losses = [_of_class(probabilities[:, number], labels == number) for number in present.tolist()]
    return torch.stack(losses).mean()


def _of_class(probability: Tensor, foreground: Tensor) -> Tensor:
    """Return the extension of one class's 1 - IoU, from its probability (N,) and where it is (N,) bool."""
    errors = torch.where(foreground, 1 - probability, probability)  # Eq. (8)
    ordered, order = errors.sort(descending=True)
    return ordered @ jaccard_steps(foreground[order]).to(ordered.dtype)


def jaccard_steps(foreground: Tensor) -> Tensor:
    """Return how much 1 - IoU grows (N,) with each further point that is mistaken, the first ones being so already.

    Args:
        foreground: (N,) bool, whether each of the points, in the order of being mistaken, is of the class; at least
            one is.

    >>> jaccard_steps(torch.tensor([True, False])).tolist()
    [1.0, 0.0]
    """
    hits = foreground.double()
    total = hits.sum()
    intersection = total - hits.cumsum(0)
    union = total + (1 - hits).cumsum(0)
    loss = 1 - intersection / union
    return torch.cat([loss[:1], loss.diff()])
