"""The members of the standard evaluation and their control."""

import torch
from attack_cases import BITS, Gated, batch_for, images, only
from ensemble_cases import Ungated
from torch import Tensor, nn

from lgm_bench import FGM, Choice, Exit, Occupancy
from lgm_bench.attacks import AutoAttack
from lgm_bench.attacks.budgets import LinfBall
from lgm_bench.attacks.standard import (
    SCHEDULES,
    AlwaysOn,
    Control,
    Member,
    Schedule,
    Standard,
    in_order,
    members_of,
    methods_of,
    pilot,
)

QUICK = Schedule("quick", 4, 3, 25, ("fgm", "lgm@6", "soft@6", "straight-through@6"), ("fgm", "lgm@6"), fab=True)


def standard_for(network: nn.Module, x: Tensor, budget: LinfBall) -> Standard:
    members = members_of(network, x, QUICK)
    return Standard(budget, QUICK, members, methods_of(network, members, x))


class Exits(nn.Module):
    """Two exits and two experts."""

    def __init__(self, *, tells: bool = True) -> None:
        super().__init__()
        self.exit, self.choice, self.tells = Exit([0.5]), Choice(), tells

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        expert = (self.choice(flat[:, :2]) * flat[:, 2:4]).sum(dim=1, keepdim=True)
        outputs = torch.stack([flat[:, :5] + expert, flat[:, 5:10]], dim=1)
        occupancy = self.exit(flat[:, :1], outputs=outputs if self.tells else None)
        return (occupancy[:, :, None] * outputs).sum(dim=1)


def test_a_network_without_gates_gets_autoattack() -> None:
    victim = Ungated()
    x, labels, ids = batch_for(victim, images(24))
    mine = standard_for(victim, x, LinfBall(28 * BITS)).attack(victim, x, labels, ids=ids)
    theirs = AutoAttack(28 * BITS, steps=4, queries=25, target_classes=3).attack(victim, x, labels, ids=ids)
    assert len(set(mine.felled_by.values())) >= 2, "more than one member must have had work to do"
    assert mine.felled_by == theirs.felled_by
    assert torch.equal(mine.adversarial, theirs.adversarial)


def test_the_standard_budget_has_every_member_of_the_published_autoattack() -> None:
    schedule = SCHEDULES["standard"]
    names = [member.name for member in members_of(Gated(), images(2), schedule)]
    assert {"apgd-ce", "apgd-t", "fab-t", "square"} < set(names)
    assert (schedule.steps, schedule.target_classes, schedule.queries) == (100, 9, 5000)


def test_members_are_those_that_the_gates_have_a_use_for() -> None:
    def names(network: nn.Module) -> list[str]:
        return [member.name for member in members_of(network, images(3), QUICK)]

    every = ["apgd-ce", "apgd-ce/lgm@6", "apgd-ce/soft@6", "apgd-ce/straight-through@6"]
    last = ["apgd-t", "apgd-t/lgm@6", "fab-t", "square"]
    exits = ["apgd-exits", "apgd-exit-0", "apgd-exit-1"]
    assert names(Gated()) == [*every, "apgd-ce/always-on", *last]
    assert names(Exits()) == [*every, *exits, *last]
    assert names(Exits(tells=False)) == [*every, *last]
    assert names(Ungated()) == ["apgd-ce", "apgd-t", "fab-t", "square"]


def test_the_twin_is_always_on_and_leaves_exits_and_experts_alone() -> None:
    victim, x = Gated(), images(4)
    with torch.no_grad():
        hard = victim(x)
        with AlwaysOn().applied_to(victim):
            on = victim(x)
        victim.occupancy.forward = lambda score: torch.ones_like(score)
        assert torch.equal(on, victim(x))
        assert not torch.equal(on, hard)
        exits = Exits()
        with AlwaysOn().applied_to(exits):
            assert torch.equal(exits(x), Exits()(x))


class Stubborn(nn.Module):
    """Always answers class 0, with a gradient that leads nowhere, and counts the images of every gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.count = Occupancy(), 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.count += len(x) * torch.is_grad_enabled()
        wave = (self.gate(x - 0.5) * x).mean(dim=(1, 2, 3)).tanh()
        return torch.stack([9 + wave, wave, -wave, 0 * wave, 2 * wave], dim=1)


def test_the_control_uses_as_many_gradients() -> None:
    victim = Stubborn()
    x, labels, ids = batch_for(victim, images(3))
    standard = standard_for(victim, x, LinfBall(8 * BITS))
    victim.count = 0
    result = standard.attack(victim, x, labels, ids=ids)
    spent = victim.count
    assert not result.felled_by
    assert result.gradients.tolist() == [spent / 3] * 3
    assert standard.gradients(classes=5) == spent / 3
    victim.count = 0
    assert Control(standard).attack(victim, x, labels, ids=ids).gradients.tolist() == [spent / 3] * 3
    assert victim.count == spent


def test_gradients_of_a_fallen_sample_are_those_until_its_fall() -> None:
    victim = Gated()
    x, labels, ids = batch_for(victim, images(12))
    standard = standard_for(victim, x, LinfBall(44 * BITS))
    together = standard.attack(victim, x, labels, ids=ids)
    fallen = [row for row, sample in enumerate(ids) if sample in together.felled_by]
    assert 0 < len(fallen) < 12
    for row in fallen:
        counted = [0]
        hook = victim.register_forward_pre_hook(
            lambda *_, counted=counted: counted.__setitem__(0, counted[0] + torch.is_grad_enabled())
        )
        alone = standard.attack(victim, *only(batch_for(victim, x), [row])[:2], ids=[ids[row]])
        hook.remove()
        assert alone.felled_by[ids[row]] == together.felled_by[ids[row]]
        assert counted[0] == together.gradients[row] == alone.gradients[0]


def test_the_first_run_of_the_control_is_fgm_itself() -> None:
    victim = Gated()
    x, labels, ids = batch_for(victim, images(16))
    standard = standard_for(victim, x, LinfBall(60 * BITS))
    standard.members = standard.members[::-1]
    control = Control(standard).attack(victim, x, labels, ids=ids)
    alone = AutoAttack(60 * BITS, steps=4, members=["apgd-ce"]).attack(victim, x, labels, ids=ids, gradient=FGM())
    first = {sample for row, sample in enumerate(ids) if sample in control.felled_by and control.kept[row] == 0}
    assert first == set(alone.felled_by) < set(control.felled_by)


def test_the_control_has_the_losses_of_autoattack_under_fgm_and_a_start_for_each_run() -> None:
    victim = Exits()
    standard = standard_for(victim, images(3), LinfBall(8 * BITS))
    rounds = Control(standard).rounds(3)
    losses = [(round_.kind, type(round_.objective).__name__, type(round_.method).__name__) for round_ in rounds]
    assert set(losses) == {(kind, "CrossEntropy", "FGM") for kind in ("apgd", "apgd-t", "fab-t")}
    assert [kind for kind, *_ in losses].count("apgd") == 4 + 3, "four gradients, and three losses of exits"
    assert len({(round_.member, round_.rank) for round_ in rounds}) == len(rounds) == 7 + 2 * 3 + 3


def test_what_fells_an_image_under_fgm_fells_it_in_the_control() -> None:
    victim = Gated()
    x, labels, ids = batch_for(victim, images(24))
    standard = standard_for(victim, x, LinfBall(44 * BITS))
    control = Control(standard).attack(victim, x, labels, ids=ids)
    theirs = AutoAttack(44 * BITS, steps=4, target_classes=3, members=["apgd-ce", "apgd-t", "fab-t"])
    alone = theirs.attack(victim, x, labels, ids=ids, gradient=FGM())
    assert 0 < len(alone.felled_by) < 24
    assert set(alone.felled_by) <= set(control.felled_by)


def test_members_run_in_the_order_of_what_they_add_on_the_pilot_samples() -> None:
    members = [Member(name, "square" if name == "square" else "apgd") for name in ("a", "b", "c", "square", "d")]
    fallen = {"a": [1, 1, 0, 0, 0], "b": [1, 1, 1, 0, 0], "c": [0, 0, 0, 1, 0], "d": [1, 1, 0, 0, 0]}
    order = in_order(members, {name: torch.tensor(down).bool() for name, down in fallen.items()})
    assert [member.name for member in order] == ["b", "c", "a", "d", "square"]


def test_the_pilot_runs_every_member_alone() -> None:
    victim = Gated()
    x, labels, ids = batch_for(victim, images(16))
    labels[0] = (labels[0] + 1) % 5
    standard = standard_for(victim, x, LinfBall(60 * BITS))
    fallen = pilot(standard, victim, x, labels, ids)
    assert list(fallen) == [member.name for member in standard.members if member.name != "square"]
    assert not any(down[0] for down in fallen.values()), "a sample that is wrong without an attack does not count"
    assert all(0 < int(down.sum()) < 16 for name, down in fallen.items() if name.startswith("apgd-ce"))
    assert len({tuple(down.tolist()) for down in fallen.values()}) > 1
