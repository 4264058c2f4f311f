"""What attacks achieve: losses rise, samples fall, and stopping early changes no verdict on an undefended network."""

import pytest
import torch
import torch.nn.functional as F
from attack_cases import BITS, LOOPS, METHODS, Gated, Static, batch_for, images, perturbed

from lgm_bench import FGM
from lgm_bench.attacks import BIM
from lgm_bench.leaded import hard_forward


def predicted(victim: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    return hard_forward(victim, x)[0].argmax(dim=1)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", LOOPS)
def test_the_hard_networks_loss_moves_the_attacks_way(name: str, targeted: bool, method) -> None:
    victim = Gated(seed=1)
    batch = batch_for(victim, images(8))
    target = (batch.labels + 1) % 5 if targeted else None
    adversarial = perturbed(LOOPS[name](eps=4 * BITS), victim, batch, method, target)
    classes = batch.labels if target is None else target

    def loss(x: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(hard_forward(victim, x)[0], classes, reduction="none")

    change = loss(adversarial) - loss(batch.images)
    gain = -change if targeted else change
    assert bool((gain >= 0).all())
    # Carlini & Wagner's loss is flat where the soft network already is what the attack wants
    assert int((gain > 0).sum()) >= (4 if name == "cw" else 8)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", LOOPS)
def test_an_active_set_gives_the_same_verdicts_on_an_undefended_network(name: str, targeted: bool) -> None:
    victim = Static(seed=3)
    batch = batch_for(victim, images(24))
    target = victim(batch.images).topk(2).indices[:, 1] if targeted else None  # the class nearest by
    fallen = {}
    for active_set in (False, True):
        adversarial = perturbed(LOOPS[name](eps=10 * BITS, active_set=active_set), victim, batch, FGM(), target)
        fallen[active_set] = predicted(victim, adversarial) != batch.labels
        if target is not None:
            fallen[active_set] = predicted(victim, adversarial) == target
    assert torch.equal(fallen[True], fallen[False])
    assert fallen[True].any()
    assert not fallen[True].all()


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_an_active_set_stops_where_the_hard_network_falls(method) -> None:
    victim = Gated(seed=1)
    batch = batch_for(victim, images(12))
    batch.labels[0] = (batch.labels[0] + 1) % 5  # wrong from the start
    stopped = perturbed(BIM(10 * BITS, steps=10, active_set=True), victim, batch, method)
    assert torch.equal(stopped[0], batch.images[0])
    ends = {}
    for steps in range(1, 11):  # the first iterate that has fallen is what must come back
        iterate = perturbed(BIM(10 * BITS, steps=steps), victim, batch, method)
        for row in (predicted(victim, iterate) != batch.labels).nonzero().flatten().tolist():
            ends.setdefault(row, (steps, iterate[row]))
    early = {row: x for row, (steps, x) in ends.items() if row != 0 and steps < 10}
    assert early
    for row, x in early.items():
        assert torch.allclose(stopped[row], x, rtol=0, atol=1e-12)


def test_an_active_set_spares_work() -> None:
    victim, sizes = Static(seed=3), []
    batch = batch_for(victim, images(24))
    victim.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    perturbed(BIM(60 * BITS, step=4 * BITS, steps=40, active_set=True), victim, batch)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 24
    assert sum(sizes) < 24 * 40 / 2
    assert len(sizes) < 40, "an empty set must end the attack"
