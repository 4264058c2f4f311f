"""Attacks on a second device: nothing stays behind on the CPU, results are the same, and steps wait for nothing.

Waiting is what makes a GPU slow: a value that Python reads, or a copy between devices, in every step.
"""

import copy
from functools import lru_cache, partial

import point_cases
import pytest
import torch
from second_device import fetched, second_device

import lgm_bench
from lgm_bench import FGM, LGM
from lgm_bench.attacks import BIM, FGSM, PGD, Adam, AutoAttack, AutoPGD, CarliniWagner, PointBIM, RandomNoise
from lgm_bench.attacks.budgets import L2Ball
from lgm_bench.attacks.point_attacks import KNNPert, PointPert, RandomPerturbation
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GRADIENTS, gradient_named
from lgm_bench.tasks.adapter import adapter_of
from lgm_bench.voxels import PointCloud, VoxelSlopes
from victims import load_victim
from victims.names import MINIATURES

EPS = 8 / 255
LOOPS = {"bim": BIM, "pgd": PGD, "adam": Adam, "cw": CarliniWagner, "autopgd": AutoPGD}
"""Attacks whose steps read nothing."""
ABOUT_COMPUTE = [loss for loss in BIM.losses if BIM(EPS, loss=loss).objective.goal is not None]
"""Losses with which an attack keeps the best iterate, so every step reads the hard network's verdict."""

IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(4)
TARGETS = (LABELS + 1) % 4


@lru_cache
def network(name):
    return load_victim(f"{name}-mini", "random", seed=1).eval()


def there(name):
    """A network on the second device."""
    return copy.deepcopy(network(name)).to("meta")


def waits_and_result(attack, name, gradient, targeted=False):
    """Return how often an attack waits on the second device, after comparing its result with that on the CPU."""
    target = TARGETS if targeted else None
    expected = attack.attack(network(name), IMAGES, LABELS, gradient=gradient, target=target)
    with second_device() as waits:
        victim, images, labels = there(name), IMAGES.to("meta"), LABELS.to("meta")
        target = TARGETS.to("meta") if targeted else None
        waits.clear()
        result = attack.attack(victim, images, labels, gradient=gradient, target=target)
        counted = sum(waits.values())
    torch.testing.assert_close(fetched(result.adversarial), expected.adversarial, rtol=0, atol=1e-5)
    torch.testing.assert_close(result.scores, expected.scores, rtol=0, atol=1e-4)
    return counted


@pytest.mark.parametrize("name", MINIATURES)
def test_no_gate_makes_a_step_wait(name):
    gradient = FGM() if name == "resnet8" else LGM("auto")
    few, many = (waits_and_result(BIM(EPS, EPS / 4, steps), name, gradient) for steps in (2, 4))
    assert few == many


@pytest.mark.parametrize("method", GRADIENTS)
@pytest.mark.parametrize("targeted", [False, True])
def test_no_gradient_makes_a_step_wait(method, targeted):
    few, many = (waits_and_result(BIM(EPS, EPS / 4, n), "dynconv8", gradient_named(method), targeted) for n in (2, 4))
    assert few == many


@pytest.mark.parametrize("attack", LOOPS)
def test_no_loop_makes_a_step_wait(attack):
    few, many = (waits_and_result(LOOPS[attack](EPS, EPS / 4, n), "skipnet14", LGM(1.0)) for n in (2, 4))
    assert few == many


@pytest.mark.parametrize("loss", sorted({*BIM.losses} - {*ABOUT_COMPUTE}))
def test_no_loss_makes_a_step_wait(loss):
    few, many = (waits_and_result(BIM(EPS, EPS / 4, n, loss=loss), "earlyexit8", LGM(1.0)) for n in (2, 4))
    assert few == many


@pytest.mark.parametrize("loss", ABOUT_COMPUTE)
def test_losses_about_compute_may_wait_and_give_the_same(loss):
    waits_and_result(BIM(EPS, EPS / 4, 2, loss=loss), "earlyexit8", LGM(1.0))


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(EPS),
        BIM(EPS, EPS / 4, 4, active_set=True),
        BIM(EPS, EPS / 4, 2, valid_pixels=0.1),
        BIM(L2Ball(0.5), 0.2, 2),
        RandomNoise(EPS, steps=2),
        AutoAttack(EPS, steps=3, queries=5, target_classes=2),
        AutoAttack(L2Ball(0.5), members=["square"], queries=5),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_other_attacks_may_wait_and_give_the_same(attack):
    waits_and_result(attack, "skipnet14", LGM(1.0))


def test_a_gradient_that_is_not_finite_is_found_at_the_end():
    with second_device():
        victim = there("resnet8")
        first = next(victim.parameters())
        first.requires_grad_(False).fill_(torch.nan)
        with pytest.raises(ConfigError, match="gradient of 4 samples is not finite"):
            BIM(EPS, EPS / 4, 2).attack(victim, IMAGES.to("meta"), LABELS.to("meta"))


def remote(cloud):
    return PointCloud(*(values.to("meta") for values in cloud))


SLOPES = VoxelSlopes(10.0, 10.0)
POINT_ATTACKS = {
    "pointbim-fgm": (partial(PointBIM, step=0.01, steps=2), FGM(voxels=SLOPES)),
    "pointbim-lgm": (partial(PointBIM, step=0.01, steps=2), LGM(5.0, voxels=SLOPES)),
    "random": (partial(RandomPerturbation, steps=1), FGM()),
    "pointpert": (partial(PointPert, step=0.01, steps=2), LGM(5.0, voxels=SLOPES)),
    "knnpert": (partial(KNNPert, step=0.01, steps=2), LGM(5.0, voxels=SLOPES)),
}


@pytest.mark.parametrize(
    ("name", "attack"),
    [
        *((name, "pointbim-lgm") for name in point_cases.VICTIMS),
        ("minkunet14-s3dis", "pointbim-fgm"),
        *(("minknet-small-modelnet40", attack) for attack in ("random", "pointpert", "knnpert")),
    ],
)
def test_attacks_on_points_give_the_same(name, attack):
    make, gradient = POINT_ATTACKS[attack]
    data = point_cases.batch(name, (60, 40))
    expected = make(0.02).attack(point_cases.victim(name), data.cloud, data.labels, gradient=gradient)
    with second_device():
        victim = copy.deepcopy(point_cases.victim(name)).to("meta")
        result = make(0.02).attack(victim, remote(data.cloud), data.labels.to("meta"), gradient=gradient)
    torch.testing.assert_close(fetched(result.adversarial), expected.adversarial, rtol=0, atol=1e-9)
    torch.testing.assert_close(result.scores, expected.scores, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["skipnet14", "evit4", "minkunet14-scannet", "minknet-small-modelnet40"])
def test_verdicts_rows_and_changes_are_the_same(name):
    images = name in MINIATURES
    victim = network(name) if images else point_cases.victim(name)
    inputs, labels, ids = (IMAGES, LABELS, list("abcd")) if images else point_cases.batch(name, (60, 40))
    moved = (IMAGES + 0.1).clamp(max=1) if images else inputs.moved(inputs.points + 0.01)

    def figures(victim, inputs, moved, labels):
        adapter = adapter_of(victim)
        before, after = (adapter.judged(victim, values, labels, None, ids) for values in (inputs, moved))
        attacked = adapter.attacked(before, labels, None)
        columns = adapter.columns(inputs, labels, before.logits, after.logits, attacked, None)
        counts = adapter.counts(victim, inputs, moved, before.decisions, after.decisions)
        losses = adapter.losses(inputs, labels, after.logits)
        return [*columns.values(), *counts, before.verdict.score, losses]

    expected = figures(victim, inputs, moved, labels)
    with second_device():
        far = [values.to("meta") if images else remote(values) for values in (inputs, moved)]
        found = figures(copy.deepcopy(victim).to("meta"), *far, labels.to("meta"))
    for one, other in zip(found, expected, strict=True):
        one, other = (fetched(v) if isinstance(v, torch.Tensor) else torch.tensor(v) for v in (one, other))
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["skipnet14", "moe14"])
def test_check_finds_the_same(name):
    expected = lgm_bench.check(network(name), IMAGES)
    with second_device():
        found = lgm_bench.check(there(name), IMAGES.to("meta"))
    assert str(found) == str(expected)
