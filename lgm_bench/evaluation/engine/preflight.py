"""Checks of a cell on its first samples, before any number is computed: does the gradient exist, is it repeatable."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.attacks.attack import Attack
from lgm_bench.evaluation.engine.masking import Masking, masking
from lgm_bench.evaluation.store.record import Preflight
from lgm_bench.leaded import GradientMethod, hard_forward, recorded_calls
from lgm_bench.leaded.recording import Call
from lgm_bench.tasks.adapter import Adapter

N_SAMPLES = 8
NO_DERIVATIVE = 1e-6  # of sigmoid(x), where it is 0.25 at most


def preflight(
    victim: nn.Module,
    adapter: Adapter,
    batch: Any,
    gradient: GradientMethod,
    attack: Attack | None = None,
    n_samples: int = 0,
) -> Preflight:
    """Check the victim under `gradient` on the first samples of `batch`.

    Args:
        victim: In eval mode.
        adapter: Of its task.
        batch: Inputs, labels and ids of at least one sample, on the victim's device.
        gradient: The method that the attack is going to follow.
        attack: Says how far it moves points; None: anywhere.
        n_samples: Of the whole cell, which bounds what looking for gradient masking may cost; 0: it is not done.
    """
    inputs, labels, ids = batch
    n = min(len(ids), N_SAMPLES)
    places = torch.arange(n, device=labels.device)
    some = adapter.select(inputs, labels, places)
    with recorded_calls(victim) as calls:
        first = _output_and_gradient(victim, adapter, *some, gradient, attack)
    second = _output_and_gradient(victim, adapter, *some, gradient, attack)
    together, decisions = hard_forward(victim, some[0])
    signs = masking(victim, adapter, batch, gradient, attack, n_samples) if attack is not None else Masking()
    singles = [adapter.select(inputs, labels, place)[0] for place in places[:, None]]
    alone = torch.cat([hard_forward(victim, single)[0] for single in singles])
    largest = together.abs().max().clamp(min=torch.finfo(together.dtype).tiny)
    return Preflight(
        n_samples=n,
        zero_gradient_share=(first[1] == 0).double().mean().item(),
        deterministic=all(torch.equal(a, b) for a, b in zip(first, second, strict=True)),
        batch_invariance=((together - alone).abs().max() / largest).item(),
        saturated_occupancies=_saturated(calls) if gradient.softens else None,
        units=len(decisions),
        constant_units=sum(bool(on.all() or not on.any()) for on in decisions),
        **signs._asdict(),
    )


def _saturated(calls: Sequence[Call]) -> float | None:
    """Return the share of the scores at which the soft occupancy has no derivative to speak of."""
    if not calls:
        return None
    soft = torch.sigmoid(torch.cat([call.slope * call.score.detach().flatten() for call in calls]))
    return (soft * (1 - soft) < NO_DERIVATIVE).double().mean().item()


def _output_and_gradient(
    victim: nn.Module, adapter: Adapter, inputs: Any, labels: Tensor, gradient: GradientMethod, attack: Attack | None
) -> tuple[Tensor, Tensor]:
    clean = adapter.values(inputs).detach()
    reach = None if attack is None else adapter.reach(clean, attack.step, attack.eps)
    with torch.enable_grad(), gradient.applied_to(victim, reach):
        moved = clean.clone().requires_grad_(True)
        logits, labels = adapter.scored(victim, adapter.replaced(inputs, moved), labels)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        if not loss.requires_grad:  # colours alone know nothing of where their points are
            return logits, torch.zeros_like(clean)
        (slope,) = torch.autograd.grad(loss, moved)
    return logits.detach(), slope
