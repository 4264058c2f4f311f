"""Checks of a cell on its first samples, before any number is computed: does the gradient exist, is it repeatable."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batch import IGNORED, ImageBatch, PointBatch, inputs_of, part
from lgm_bench.attacks.base import Attack
from lgm_bench.attacks.points.base import PointAttack
from lgm_bench.bench.results.record import Preflight
from lgm_bench.leaded import GradientMethod, Reach, hard_forward
from victims.point_victim import PointVictim

N_SAMPLES = 8


def preflight(
    victim: nn.Module,
    batch: ImageBatch | PointBatch,
    gradient: GradientMethod,
    attack: Attack | PointAttack | None = None,
) -> Preflight:
    """Check the victim under `gradient` on the first samples of `batch`.

    Args:
        victim: In eval mode.
        batch: At least one sample, on the victim's device.
        gradient: The method that the attack is going to follow.
        attack: Says how far it moves points; None: anywhere.
    """
    n = min(len(batch.ids), N_SAMPLES)
    some = part(batch, range(n))
    first, second = (_output_and_gradient(victim, some, gradient, attack) for _ in range(2))
    together, _ = hard_forward(victim, inputs_of(some))
    alone = torch.cat([hard_forward(victim, inputs_of(part(batch, [i])))[0] for i in range(n)])
    largest = together.abs().max().clamp(min=torch.finfo(together.dtype).tiny)
    return Preflight(
        n_samples=n,
        zero_gradient_share=(first[1] == 0).double().mean().item(),
        deterministic=all(torch.equal(a, b) for a, b in zip(first, second, strict=True)),
        batch_invariance=((together - alone).abs().max() / largest).item(),
    )


def _output_and_gradient(
    victim: nn.Module,
    batch: ImageBatch | PointBatch,
    gradient: GradientMethod,
    attack: Attack | PointAttack | None,
) -> tuple[Tensor, Tensor]:
    clean = (batch.images if isinstance(batch, ImageBatch) else batch.cloud.points).detach()
    reach = Reach(clean, attack.step, attack.eps) if isinstance(attack, PointAttack) else None
    with torch.enable_grad(), gradient.applied_to(victim, reach):
        moved = clean.clone().requires_grad_(True)
        if isinstance(batch, ImageBatch):
            logits, labels = victim(moved), batch.labels
        else:
            logits, labels = cast(PointVictim, victim).scored(batch.cloud.moved(moved), batch.labels)
        loss = F.cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORED)
        if not loss.requires_grad:  # colours alone know nothing of where their points are
            return logits, torch.zeros_like(clean)
        (slope,) = torch.autograd.grad(loss, moved)
    return logits.detach(), slope
