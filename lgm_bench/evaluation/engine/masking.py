"""Signs of gradient masking: an attack that gains nothing from more iterations, or fails with all the room there is.

Both are among the signs that Athalye et al. 2018 (Sec. 3.1) and Carlini et al. 2019 (Sec. 5) name.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from datamodules.batch import ImageBatch, PointBatch, inputs_of, part
from lgm_bench.attacks.attack import Attack
from lgm_bench.leaded import GradientMethod, hard_forward
from lgm_bench.tasks.adapter import adapter_of
from victims.point_victim import PointVictim

SAMPLES, OF = 8, 60
"""So many samples are looked at, but no more than one of `OF` of the cell's: then it takes less than a tenth of its
time."""
FEWEST = 2

LARGE_STEPS = 10
OVERSHOOT = 2.5  # a path of so many eps leads from anywhere in the ball to anywhere


class Masking(NamedTuple):
    """See `record.Checks`; None where it was not looked for."""

    masking_samples: int = 0
    loss_of_twice_the_steps: float | None = None
    large_eps: float | None = None
    accuracy_at_large_eps: float | None = None


def masking(
    victim: torch.nn.Module,
    batch: ImageBatch | PointBatch,
    gradient: GradientMethod,
    attack: Attack,
    n_samples: int,
) -> Masking:
    """Look for signs on the first samples that the hard network is right about.

    Only where iterations follow a gradient; not on scenes, where an iteration takes as long as a shape's attack.

    Args:
        victim: In eval mode.
        batch: The first samples of the cell, on the victim's device.
        gradient: The method that the attack follows.
        attack: What the cell runs.
        n_samples: Of the whole cell.
    """
    n = min(SAMPLES, n_samples // OF, len(batch.ids))
    segments = isinstance(victim, PointVictim) and victim.task == "segmentation"
    if n < FEWEST or segments or attack.steps < 2 or not attack.takes_step or attack.eps <= 0:
        return Masking()
    first = part(batch, range(n))
    right = hard_forward(victim, inputs_of(first))[0].argmax(1) == first.labels
    if not right.any():
        return Masking()
    some = part(first, right.nonzero().flatten().tolist())
    twice = attack.resized(attack.eps, attack.step, 2 * attack.steps)
    large, steps = max(attack.budget.everything, attack.eps), min(attack.steps, LARGE_STEPS)
    far = attack.resized(large, OVERSHOOT * large / steps, steps)
    loss, _ = _loss_and_accuracy(victim, some, gradient, twice)
    _, accuracy = _loss_and_accuracy(victim, some, gradient, far)
    return Masking(n, loss, far.eps, accuracy)


def _loss_and_accuracy(
    victim: torch.nn.Module, batch: ImageBatch | PointBatch, gradient: GradientMethod, attack: Attack
) -> tuple[float, float]:
    """Return the hard network's mean cross-entropy and its accuracy after an attack."""
    adapter, inputs = adapter_of(victim), inputs_of(batch)
    result = attack.attack(victim, inputs, batch.labels, gradient=gradient, ids=batch.ids)
    logits, _ = hard_forward(victim, adapter.replaced(inputs, result.adversarial))
    loss = F.cross_entropy(logits, batch.labels).item()
    return loss, (logits.argmax(1) == batch.labels).double().mean().item()
