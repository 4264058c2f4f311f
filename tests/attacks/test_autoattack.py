"""The ensemble: who gets what, what comes out, and that a batch is nothing but its samples."""

import inspect
from itertools import pairwise

import pytest
import torch
from ensemble_cases import BITS, Gated, Linear, attacked, batch_for, images, perturbed, problem_for

import lgm_bench.attacks.autoattack as ensemble
from datamodules.batch import ImageBatch
from lgm_bench import FGM, LGM, StraightThrough
from lgm_bench.attacks import ATTACKS, BIM, AutoAttack
from lgm_bench.attacks.budgets import Cubes
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.registry import resolve

QUICK = {"steps": 4, "queries": 25, "target_classes": 3}


def only(batch: ImageBatch, rows: list[int]) -> ImageBatch:
    return ImageBatch(batch.images[rows], batch.labels[rows], [batch.ids[row] for row in rows])


def test_is_registered_and_called_like_every_attack() -> None:
    assert resolve("attack", "autoattack", ATTACKS) is AutoAttack
    assert inspect.signature(AutoAttack.perturb) == inspect.signature(BIM.perturb)
    standard = AutoAttack(8 * BITS)
    assert (standard.steps, standard.queries, standard.target_classes) == (100, 5000, 9)
    assert standard.members == ("apgd-ce", "apgd-t", "fab-t", "square")


@pytest.mark.parametrize("method", [FGM(), LGM(5.0), StraightThrough(5.0)], ids=repr)
@pytest.mark.parametrize("targeted", [False, True])
def test_verdicts_are_the_hard_networks(method, targeted: bool) -> None:
    victim = Gated(seed=1)
    batch = batch_for(victim, images(12))
    target = (batch.labels + 1) % 5 if targeted else None
    attack = AutoAttack(3 * BITS, **QUICK)
    result = attacked(attack, victim, batch, method, target)
    adversarial = result.adversarial
    with torch.no_grad():
        predicted = victim(adversarial).argmax(dim=1)
    fallen = predicted == target if targeted else predicted != batch.labels
    assert set(result.felled_by) == {name for name, fell in zip(batch.ids, fallen.tolist(), strict=True) if fell}
    assert float((adversarial - batch.images).abs().max()) <= 3 / 255 + 1e-12
    assert int(fallen.sum()) < 12
    if not targeted:
        assert int(fallen.sum()) >= 1


@pytest.mark.parametrize("method", [FGM(), LGM(5.0)], ids=repr)
def test_a_batch_is_nothing_but_its_samples(method) -> None:
    victim = Gated()
    batch = batch_for(victim, images(16))
    whole = AutoAttack(44 * BITS, seed=3, **QUICK)
    together = attacked(whole, victim, batch, method)
    assert len(set(together.felled_by.values())) >= 2, "more than one member must have had work to do"
    for rows in ([4], [15, 2], [7, 6, 5, 3, 1, 0, 14]):
        alone = attacked(whole, victim, only(batch, rows), method)
        assert torch.allclose(alone.adversarial, together.adversarial[rows], rtol=0, atol=1e-12)
        ids = {batch.ids[row] for row in rows}
        assert alone.felled_by == {name: member for name, member in together.felled_by.items() if name in ids}


def test_a_seed_repeats_and_another_does_not() -> None:
    victim = Gated()
    batch = batch_for(victim, images(3))
    first, again, other = (perturbed(AutoAttack(10 * BITS, seed=seed, **QUICK), victim, batch) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("member", ensemble.MEMBERS)
def test_stays_in_the_range_and_in_the_mask(low: float, member: str) -> None:
    victim = Gated(seed=1)
    batch = batch_for(victim, images(10) * 0.05)
    attack = AutoAttack(60 * BITS, bounds=(low, 1.0), valid_pixels=0.25, members=(member,), **QUICK)
    adversarial = perturbed(attack, victim, batch)
    change = (adversarial - batch.images).abs()
    touched = (change > 0).any(dim=0).any(dim=0)
    assert int(touched.sum()) <= 16
    assert float(change.max()) <= 60 * BITS + 1e-12
    assert low <= float(adversarial.min())
    assert float(adversarial.max()) <= 1
    if member in ("apgd-ce", "square"):
        assert (float(adversarial.min()) < 0) is (low < 0)


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_fab_looks_beyond_black_only_where_the_range_goes_there(low: float) -> None:
    victim = Linear(classes=2)
    attack = AutoAttack(160 * BITS, bounds=(low, 1.0), members=("fab-t",), **QUICK)
    result = attacked(attack, victim, batch_for(victim, images(10, size=4) * 0.05))
    assert result.felled_by
    assert (float(result.adversarial.min()) < 0) is (low < 0)


def test_members_get_what_still_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    victim = Gated()
    batch = batch_for(victim, images(10))
    calls: list[tuple[str, int, set[str]]] = []
    inner = AutoAttack._run_member

    def noted(self, round_, problem, aim, tick):
        assert bool((aim[problem.samples] != problem.labels).all())
        calls.append((round_.member, round_.rank, set(problem.ids)))
        return inner(self, round_, problem, aim, tick)

    monkeypatch.setattr(AutoAttack, "_run_member", noted)
    wrong = ImageBatch(batch.images, batch.labels.clone(), batch.ids)
    wrong.labels[0] = (wrong.labels[0] + 1) % 5
    felled_by = attacked(AutoAttack(40 * BITS, **QUICK), victim, wrong).felled_by
    expected = [("apgd-ce", 0), *[(m, rank) for m in ("apgd-t", "fab-t") for rank in range(3)], ("square", 0)]
    assert [call[:2] for call in calls] == expected
    assert felled_by["sample-000"] == "clean"
    assert calls[0][2] == set(batch.ids[1:])
    for (member, _, before), (_, _, after) in pairwise(calls):
        assert after <= before
        assert {felled_by[name] for name in before - after} <= {member}
    assert calls[-1][2] < calls[0][2]


def test_aims_are_the_likeliest_wrong_classes() -> None:
    victim = Gated()
    batch = batch_for(victim, images(6))
    logits = victim(batch.images).detach()
    for count, expected in ((2, 2), (9, 4)):
        attack = AutoAttack(1 * BITS, target_classes=count)
        aims = attack._aims(problem_for(victim, batch, BITS)[0], logits)
        assert aims.shape == (6, expected)
        for row, ranked in enumerate(logits.argsort(dim=1, descending=True).tolist()):
            assert aims[row].tolist() == [c for c in ranked if c != int(batch.labels[row])][:expected]


def test_progress_rises_to_the_whole() -> None:
    victim = Gated()
    seen: list[tuple[int, int]] = []
    perturbed(AutoAttack(1 * BITS, **QUICK), victim, batch_for(victim, images(2)), progress=lambda *at: seen.append(at))
    total = 4 * (1 + 3 + 3) + 25
    assert {whole for _, whole in seen} == {total}
    done = [at for at, _ in seen]
    assert done == sorted(done)
    assert done[0] == 1
    assert done[-1] == total


def test_one_sample_or_none_standing() -> None:
    victim = Gated()
    batch = batch_for(victim, images(2))
    wrong = ImageBatch(batch.images, (batch.labels + 1) % 5, batch.ids)
    attack = AutoAttack(8 * BITS, **QUICK)
    result = attacked(attack, victim, wrong)
    assert torch.equal(result.adversarial, batch.images)
    assert result.felled_by == dict.fromkeys(batch.ids, "clean")
    assert torch.equal(perturbed(AutoAttack(0, **QUICK), victim, only(batch, [0])), batch.images[:1])


def test_leaves_the_victim_as_it_was() -> None:
    victim = Gated()
    perturbed(AutoAttack(8 * BITS, **QUICK), victim, batch_for(victim, images(2)), LGM(2.0))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in victim.parameters())
    assert isinstance(victim.occupancy.gradient, FGM)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"step": 1}, "step must be left out; got 1"),
        ({"queries": 0}, "queries must be a whole number of at least 1, got 0"),
        ({"target_classes": True}, "target_classes must be .*, got True"),
        ({"members": ()}, "at least one member of apgd-ce, .*, got none"),
        ({"mask": torch.zeros(8, 8, dtype=torch.bool)}, "mask allows no pixel"),
        ({"eps": -1}, "got -1"),
        ({"eps": Cubes(0.5)}, "within LinfBall or L2Ball, got Cubes"),
    ],
)
def test_options_that_make_no_sense(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AutoAttack(**({"eps": 8} | options))


def test_unknown_member() -> None:
    with pytest.raises(UnknownNameError, match="apgd-t"):
        AutoAttack(8 * BITS, members=("apgdt",))
