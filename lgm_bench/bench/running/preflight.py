"""Checks of a cell on its first images, before any number is computed: does the gradient exist, is it repeatable."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench.bench.results.record import Preflight
from lgm_bench.leaded import GradientMethod, hard_forward

N_SAMPLES = 8


def preflight(victim: nn.Module, batch: ImageBatch, gradient: GradientMethod) -> Preflight:
    """Check the victim under `gradient` on the first images of `batch`.

    Args:
        victim: In eval mode, images (B, 3, H, W) to logits (B, classes).
        batch: At least one image, on the victim's device.
        gradient: The method that the attack is going to follow.
    """
    images, labels = batch.images[:N_SAMPLES], batch.labels[:N_SAMPLES]
    first, second = (_logits_and_gradient(victim, images, labels, gradient) for _ in range(2))
    together, _ = hard_forward(victim, images)
    alone = torch.cat([hard_forward(victim, images[i : i + 1])[0] for i in range(len(images))])
    largest = together.abs().max().clamp(min=torch.finfo(together.dtype).tiny)
    return Preflight(
        n_samples=len(images),
        zero_gradient_share=(first[1] == 0).double().mean().item(),
        deterministic=all(torch.equal(a, b) for a, b in zip(first, second, strict=True)),
        batch_invariance=((together - alone).abs().max() / largest).item(),
    )


def _logits_and_gradient(
    victim: nn.Module, images: Tensor, labels: Tensor, gradient: GradientMethod
) -> tuple[Tensor, Tensor]:
    with torch.enable_grad(), gradient.applied_to(victim):
        images = images.detach().clone().requires_grad_(True)
        logits = victim(images)
        (slope,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), images)
    return logits.detach(), slope
