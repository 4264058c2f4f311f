"""What attacks raise or lower: one number per sample, so that a sample's gradient does not depend on its batch."""

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the cross-entropy (B,) of logits (B, C) for classes (B,)."""
    return F.cross_entropy(logits, classes, reduction="none")


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Return z_y - max_{j != y} z_j, (B,): how far class y leads (positive) or lags (negative)."""
    one = F.one_hot(classes, logits.shape[1]).bool()
    return logits.gather(1, classes[:, None]).squeeze(1) - logits.masked_fill(one, -torch.inf).amax(dim=1)


def carlini_wagner_loss(logits: Tensor, classes: Tensor, *, targeted: bool, kappa: float = 0.0) -> Tensor:
    """Return the loss (B,) that a Carlini & Wagner (2017) attack lowers.

    max(z_y - max_{j != y} z_j, -kappa) untargeted, max(max_{j != t} z_j - z_t, -kappa) targeted.
    """
    lead = margin(logits, classes)
    return (-lead if targeted else lead).clamp(min=-kappa)


def difference_of_logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """Return DLR (B,), raised by an untargeted attack: -(z_y - max_{j != y} z_j) / (z_(1) - z_(3)).

    Croce & Hein (2020), Eq. (4); z_(k) is the k-th largest logit. Needs at least three classes.
    """
    ordered = logits.sort(dim=1, descending=True).values
    return -margin(logits, labels) / (ordered[:, 0] - ordered[:, 2] + 1e-12)


def targeted_difference_of_logits_ratio(logits: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    """Return targeted DLR (B,), raised by an attack: -(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2).

    Croce & Hein (2020), Eq. (5). Needs at least four classes.
    """
    ordered = logits.sort(dim=1, descending=True).values
    difference = logits.gather(1, labels[:, None]) - logits.gather(1, target[:, None])
    return -difference.squeeze(1) / (ordered[:, 0] - 0.5 * (ordered[:, 2] + ordered[:, 3]) + 1e-12)
