"""Verdicts about iterates against the same attack stopped after so many iterations."""

from functools import partial

import pytest
import torch
from attack_cases import METHODS, Gated, batch_for, images

from lgm_bench import LGM
from lgm_bench.attacks import BIM, FGSM, PGD, AutoAttack
from lgm_bench.attacks.history import History
from lgm_bench.leaded import hard_forward

STEPS = 5


@pytest.mark.parametrize("active_set", [False, True])
@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("kind", [BIM, PGD])
def test_every_iterate_is_that_of_an_attack_of_so_many_steps(kind, method, active_set: bool) -> None:
    victim = Gated()
    batch = batch_for(victim, images(30))
    attack = partial(kind, 64, 12, active_set=active_set)
    history = History()
    adversarial = attack(STEPS).perturb(victim, batch, method, history=history)
    assert torch.equal(adversarial, attack(STEPS).perturb(victim, batch, method)), "looking changes nothing"
    reached = [hard_forward(victim, batch.images)[0].argmax(1) != batch.labels]
    for steps in range(1, STEPS + 1):
        stopped = attack(steps).perturb(victim, batch, method)
        reached.append(hard_forward(victim, stopped)[0].argmax(1) != batch.labels)
    expected = torch.stack(reached, 1).tolist()
    got = [history.whole(name, values[0], values[-1], STEPS) for name, values in zip(batch.ids, expected, strict=True)]
    assert got == expected
    assert len({tuple(values) for values in got}) > 1


def test_targeted_iterates_are_where_the_attack_wants_them() -> None:
    victim = Gated()
    batch = batch_for(victim, images(30))
    target = (batch.labels + 1) % 5
    history = History()
    BIM(16, 4, STEPS).perturb(victim, batch, LGM(5.0), target, history=history)
    stopped = BIM(16, 4, STEPS - 1).perturb(victim, batch, LGM(5.0), target)
    reached = hard_forward(victim, stopped)[0].argmax(1) == target
    assert [history.reached[name][-1] for name in batch.ids] == reached.tolist()


def test_attacks_without_iterates_say_so() -> None:
    assert BIM(1, steps=2).has_iterates
    assert not FGSM(1).has_iterates
    assert not AutoAttack(1).has_iterates
