"""Signs of gradient masking: an attack that gains nothing from more iterations, or fails with all the room there is.

Both are among the signs that Athalye et al. 2018 (Sec. 3.1) and Carlini et al. 2019 (Sec. 5) name.
"""

from typing import Any, NamedTuple

import torch

from lgm_bench.attacks.attack import Attack
from lgm_bench.leaded import GradientMethod
from lgm_bench.tasks.adapter import Adapter

SAMPLES, OF = 8, 60
"""So many samples are looked at, but no more than one of `OF` of the cell's: then it takes less than a tenth of its
time."""
FEWEST = 2

LARGE_STEPS = 10
OVERSHOOT = 2.5  # a path of so many eps leads from anywhere in the ball to anywhere


class Masking(NamedTuple):
    """See `record.Checks`; None where it was not looked for. `large_eps` is in the unit of the inputs."""

    masking_samples: int = 0
    loss_of_twice_the_steps: float | None = None
    large_eps: float | None = None
    accuracy_at_large_eps: float | None = None


def masking(
    victim: torch.nn.Module, adapter: Adapter, batch: Any, gradient: GradientMethod, attack: Attack, n_samples: int
) -> Masking:
    """Look for signs on the first samples that the hard network is right about.

    Only where iterations follow a gradient; not on scenes, where an iteration takes as long as a shape's attack.

    Args:
        victim: In eval mode.
        adapter: Of its task.
        batch: Inputs, labels and ids of the first samples of the cell, on the victim's device.
        gradient: The method that the attack follows.
        attack: What the cell runs.
        n_samples: Of the whole cell.
    """
    inputs, labels, ids = batch
    n, scenes = min(SAMPLES, n_samples // OF, len(ids)), adapter.task.labels_points
    if n < FEWEST or scenes or attack.steps < 2 or not attack.takes_step or attack.eps <= 0:
        return Masking()
    first, first_labels = adapter.select(inputs, labels, torch.arange(n, device=labels.device))
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
    victim: torch.nn.Module, adapter: Adapter, batch: Any, gradient: GradientMethod, attack: Attack
) -> tuple[float, float]:
    """Return the hard network's mean cross-entropy and its accuracy after an attack."""
    inputs, labels, ids = batch
    result = attack.attack(victim, inputs, labels, gradient=gradient, ids=ids, adapter=adapter)
    after = adapter.judged(victim, adapter.replaced(inputs, result.adversarial), labels, None, ids)
    loss = adapter.losses(inputs, labels, after.logits).mean().item()
    return loss, (~after.verdict.fallen).double().mean().item()
