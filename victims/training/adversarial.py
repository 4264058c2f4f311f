"""Fast adversarial training: one gradient step from a random start replaces the images of a training batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.leaded import calibrated, gradient_named
from victims.training.recipe import Adversarial


def perturbed(victim: nn.Module, images: Tensor, labels: Tensor, settings: Adversarial) -> Tensor:
    """Return images (B, C, H, W) after one step of size `step` * eps from noise in +-`noise` * eps, within [0, 1].

    The gradient is that of the network in evaluation mode, as an attacker would see it. So gates decide without the
    noise that they have in training, batch norm uses its running statistics (Pang et al. 2021), and these do not see
    the noisy images. What follows, the loss on the returned images, trains the gates with their noise.

    Args:
        victim: Network in training mode, and so again afterwards.
        images: (B, C, H, W) in [0, 1].
        labels: (B,) int64.
        settings: Sizes in units of eps, and the gradient.

    Raises:
        ConfigError: The leaded gradient is chosen for a network without gates.
    """
    noise = settings.noise * settings.eps * (2 * torch.rand_like(images) - 1)
    start = (images + noise).requires_grad_()
    victim.eval()
    method = calibrated(gradient_named(settings.gradient), victim, images, steps=1)
    with method.applied_to(victim):
        loss = F.cross_entropy(victim(start), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, start)
    victim.train()
    change = noise + settings.step * settings.eps * gradient.sign()
    if settings.clipped:
        change = change.clamp(-settings.eps, settings.eps)
    return (images + change).clamp(0, 1)
