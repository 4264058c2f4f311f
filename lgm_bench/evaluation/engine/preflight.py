"""Checks on a cell's first samples before it runs: is there a gradient, is it repeatable, is it masked?"""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.attacks.attack import Attack
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.store.record import Preflight
from lgm_bench.leaded import GradientMethod, hard_forward, recorded_calls
from lgm_bench.leaded.recording import Call
from lgm_bench.tasks.adapter import Adapter

N_SAMPLES = 8
NO_DERIVATIVE = 1e-6  # a derivative of sigmoid(x) below this counts as none; the largest is 0.25
MASKING_SAMPLES, OF = 8, 60
"""Most samples on which to look for signs of gradient masking; also at most one in `OF` of the cell's samples, so that
this takes less than a tenth of the cell's time."""
FEWEST, LARGE_STEPS = 2, 10
OVERSHOOT = 2.5  # length of the path in eps: enough to get from any point of the ball to any other


def preflight(
    victim: nn.Module,
    adapter: Adapter,
    batch: Any,
    gradient: GradientMethod,
    attack: Attack | None = None,
    n_samples: int = 0,
) -> Preflight:
    """Check a victim in eval mode under `gradient` on the first samples of `batch` (inputs, labels and ids).

    Without an attack, points may move anywhere. `n_samples` is the whole cell's number of samples; 0 leaves out
    the search for gradient masking.

    Raises:
        ConfigError: The victim lets no gradient through, and the attack follows one.
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
    """Return the share of the margins at which the soft occupancy has almost no derivative."""
    if not calls:
        return None
    soft = torch.sigmoid(torch.cat([call.slope * call.margin.detach().flatten() for call in calls]))
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
        if not loss.requires_grad:
            if isinstance(inputs, Tensor) and attack is not None and attack.takes_gradient:
                raise ConfigError(
                    "the victim's logits have no gradient: its forward runs under torch.no_grad() or detaches "
                    "them; let gradients through, or choose an attack that follows none"
                )
            return logits, torch.zeros_like(clean)  # colours do not depend on where their points are
        (slope,) = torch.autograd.grad(loss, moved)
    return logits.detach(), slope


class Masking(NamedTuple):
    """Fields of `record.Preflight`; None where signs were not looked for. `large_eps` is in the unit of the inputs."""

    masking_samples: int = 0
    loss_of_twice_the_steps: float | None = None
    large_eps: float | None = None
    accuracy_at_large_eps: float | None = None


def masking(
    victim: nn.Module, adapter: Adapter, batch: Any, gradient: GradientMethod, attack: Attack, n_samples: int
) -> Masking:
    """Look for signs of gradient masking: an attack that gains nothing from more iterations, or fails at a huge eps.

    Both are among the signs that Athalye et al. 2018 (Sec. 3.1) and Carlini et al. 2019 (Sec. 5) name. They are looked
    for on the first samples that the hard network gets right, where several iterations follow a gradient; not on
    scenes, where an iteration takes as long as a whole attack on a shape.
    """
    inputs, labels, ids = batch
    n, scenes = min(MASKING_SAMPLES, n_samples // OF, len(ids)), adapter.task.labels_points
    if n < FEWEST or scenes or not attack.has_iterates or not attack.takes_step or attack.eps <= 0:
        return Masking()
    first, first_labels = adapter.select(inputs, labels, torch.arange(n, device=labels.device))
    adapter = copy.copy(adapter)
    adapter.pass_size = None  # padded to whole passes, these few samples would cost as much as a batch
    right = ~adapter.judged(victim, first, first_labels, None, ids[:n]).verdict.fallen
    if not right.any():
        return Masking()
    places = right.nonzero().flatten()
    some = (*adapter.select(first, first_labels, places), [ids[place] for place in places.tolist()])
    twice = attack.resized(attack.eps, attack.step, 2 * attack.steps)
    large, steps = max(attack.budget.everything, attack.eps), min(attack.steps, LARGE_STEPS)
    far = attack.resized(large, OVERSHOOT * large / steps, steps)
    loss, _ = _loss_and_accuracy(victim, adapter, some, gradient, twice)
    _, accuracy = _loss_and_accuracy(victim, adapter, some, gradient, far)
    return Masking(n, loss, far.eps, accuracy)


def _loss_and_accuracy(
    victim: nn.Module, adapter: Adapter, batch: Any, gradient: GradientMethod, attack: Attack
) -> tuple[float, float]:
    """Return the hard network's mean cross-entropy and its accuracy after an attack."""
    inputs, labels, ids = batch
    result = attack.attack(victim, inputs, labels, gradient=gradient, ids=ids, adapter=adapter)
    after = adapter.judged(victim, adapter.replaced(inputs, result.adversarial), labels, None, ids)
    loss = adapter.losses(inputs, labels, after.logits).mean().item()
    return loss, (~after.verdict.fallen).double().mean().item()
