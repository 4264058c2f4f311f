"""Verdicts about iterates against the same attack stopped after so many iterations."""

from functools import partial

import pytest
import torch
from attack_cases import BITS, METHODS, Gated, attacked, batch_for, images, perturbed

from lgm_bench import LGM
from lgm_bench.attacks import BIM, FGSM, PGD, AutoAttack
from lgm_bench.leaded import hard_forward

STEPS = 5


@pytest.mark.parametrize("active_set", [False, True])
@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("kind", [BIM, PGD])
def test_every_iterate_is_that_of_an_attack_of_so_many_steps(kind, method, active_set: bool) -> None:
    victim = Gated()
    batch = batch_for(victim, images(30))
    attack = partial(kind, 64 * BITS, 12 * BITS, active_set=active_set)
    result = attacked(attack(STEPS), victim, batch, method, history=True)
    assert torch.equal(result.adversarial, perturbed(attack(STEPS), victim, batch, method)), "looking changes nothing"
    reached = [hard_forward(victim, batch.images)[0].argmax(1) != batch.labels]
    for steps in range(1, STEPS):
        stopped = perturbed(attack(steps), victim, batch, method)
        reached.append(hard_forward(victim, stopped)[0].argmax(1) != batch.labels)
    assert torch.equal(result.fallen, torch.stack(reached))
    assert len({tuple(values) for values in result.fallen.T.tolist()}) > 1


def test_targeted_iterates_are_where_the_attack_wants_them() -> None:
    victim = Gated()
    batch = batch_for(victim, images(30))
    target = victim(batch.images).topk(2).indices[:, 1]  # the class nearest by
    result = attacked(BIM(90 * BITS, 20 * BITS, STEPS), victim, batch, LGM(5.0), target, history=True)
    stopped = perturbed(BIM(90 * BITS, 20 * BITS, STEPS - 1), victim, batch, LGM(5.0), target)
    reached = hard_forward(victim, stopped)[0].argmax(1) == target
    assert torch.equal(result.fallen[-1], reached)
    assert result.fallen[-1].any()


def test_attacks_without_iterates_say_so() -> None:
    assert BIM(1 * BITS, steps=2).has_iterates
    assert not FGSM(1 * BITS).has_iterates
    assert not AutoAttack(1 * BITS).has_iterates
