"""Checks of a cell on its first samples, before any number is computed: does the gradient exist, is it repeatable."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batch import IGNORED, ImageBatch, PointBatch, inputs_of, part
from lgm_bench.attacks.attack import Attack
from lgm_bench.evaluation.engine.masking import Masking, masking
from lgm_bench.evaluation.store.record import Preflight
from lgm_bench.leaded import GradientMethod, hard_forward, recorded_calls
from lgm_bench.voxels import Reach
from victims.point_victim import PointVictim

N_SAMPLES = 8
NO_DERIVATIVE = 1e-6  # of sigmoid(x), where it is 0.25 at most


def preflight(
    victim: nn.Module,
    batch: ImageBatch | PointBatch,
    gradient: GradientMethod,
    attack: Attack | None = None,
    n_samples: int = 0,
) -> Preflight:
    """Check the victim under `gradient` on the first samples of `batch`.

    Args:
        victim: In eval mode.
        batch: At least one sample, on the victim's device.
        gradient: The method that the attack is going to follow.
        attack: Says how far it moves points; None: anywhere.
        n_samples: Of the whole cell, which bounds what looking for gradient masking may cost; 0: it is not done.
    """
    n = min(len(batch.ids), N_SAMPLES)
    some = part(batch, range(n))
    with recorded_calls(victim) as calls:
        first = _output_and_gradient(victim, some, gradient, attack)
    second = _output_and_gradient(victim, some, gradient, attack)
    together, decisions = hard_forward(victim, inputs_of(some))
    signs = masking(victim, batch, gradient, attack, n_samples) if attack is not None else Masking()
    alone = torch.cat([hard_forward(victim, inputs_of(part(batch, [i])))[0] for i in range(n)])
    largest = together.abs().max().clamp(min=torch.finfo(together.dtype).tiny)
    return Preflight(
        n_samples=n,
        zero_gradient_share=(first[1] == 0).double().mean().item(),
        deterministic=all(torch.equal(a, b) for a, b in zip(first, second, strict=True)),
        batch_invariance=((together - alone).abs().max() / largest).item(),
        saturated_occupancies=_saturated([call.score.detach() for call in calls], gradient.slope),
        units=len(decisions),
        constant_units=sum(bool(on.all() or not on.any()) for on in decisions),
        **signs._asdict(),
    )


def _saturated(scores: Sequence[Tensor], slope: float | None) -> float | None:
    """Return the share of the scores at which the leaded occupancy has no derivative to speak of."""
    if slope is None or not scores:
        return None
    soft = torch.sigmoid(slope * torch.cat([score.flatten() for score in scores]))
    return (soft * (1 - soft) < NO_DERIVATIVE).double().mean().item()


def _output_and_gradient(
    victim: nn.Module,
    batch: ImageBatch | PointBatch,
    gradient: GradientMethod,
    attack: Attack | None,
) -> tuple[Tensor, Tensor]:
    clean = (batch.images if isinstance(batch, ImageBatch) else batch.cloud.points).detach()
    reach = Reach(clean, attack.step, attack.eps) if attack is not None and attack.inputs == "points" else None
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
