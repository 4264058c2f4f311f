"""Attacks against other implementations of them: foolbox, torch's optimizer, loops written out."""

import pytest
import torch
import torch.nn.functional as F
from attack_cases import BITS, METHODS, Gated, Static, batch_for, images, perturbed

from lgm_bench import LGM, Leaded
from lgm_bench.attacks import BIM, FGSM, PGD, CarliniWagner
from lgm_bench.attacks.problem import sample_generator

EPS = 6 * BITS


def by_foolbox(network: torch.nn.Module, kind: str, x: torch.Tensor, criterion, steps: int = 5) -> torch.Tensor:
    foolbox = pytest.importorskip("foolbox", reason="foolbox (extra `interop`) is not installed")
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    attacks = {
        "fgsm": lambda: foolbox.attacks.LinfFastGradientAttack(),
        "bim": lambda: foolbox.attacks.LinfBasicIterativeAttack(abs_stepsize=1.5 / 255, steps=steps),
    }
    return attacks[kind]().run(model, x, criterion, epsilon=EPS)


@pytest.mark.parametrize("kind", ["fgsm", "bim"])
@pytest.mark.parametrize("leaded", [False, True])
def test_fgsm_and_bim_are_foolboxs(kind: str, leaded: bool) -> None:
    foolbox = pytest.importorskip("foolbox", reason="foolbox (extra `interop`) is not installed")
    victim = Gated() if leaded else Static()
    batch = batch_for(victim, images(5))
    attack = FGSM(EPS) if kind == "fgsm" else BIM(EPS, step=1.5 * BITS, steps=5)
    ours = perturbed(attack, victim, batch, LGM(5.0)) if leaded else perturbed(attack, victim, batch)
    network = Leaded(victim, LGM(5.0)) if leaded else victim
    theirs = by_foolbox(network, kind, batch.images, foolbox.criteria.Misclassification(batch.labels))
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-7)  # foolbox counts eps in float32


def test_a_targeted_bim_is_foolboxs() -> None:
    foolbox = pytest.importorskip("foolbox", reason="foolbox (extra `interop`) is not installed")
    victim = Static()
    batch = batch_for(victim, images(5))
    target = (batch.labels + 2) % 5
    ours = perturbed(BIM(EPS, step=1.5 * BITS, steps=5), victim, batch, target=target)
    theirs = by_foolbox(victim, "bim", batch.images, foolbox.criteria.TargetedMisclassification(target))
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("targeted", [False, True])
def test_carlini_wagner_is_adam_on_the_perturbation(method, targeted: bool) -> None:
    victim = Gated(seed=2)
    batch = batch_for(victim, images(1))
    target = (batch.labels + 1) % 5
    ours = perturbed(CarliniWagner(EPS, step=1 * BITS, steps=12), victim, batch, method, target if targeted else None)

    delta = torch.zeros_like(batch.images, requires_grad=True)
    optimizer = torch.optim.Adam([delta], lr=1 / 255)
    chosen = int(target if targeted else batch.labels)
    low, high = (-batch.images).clamp(min=-EPS), (1 - batch.images).clamp(max=EPS)
    for _ in range(12):
        with method.applied_to(victim):
            logits = victim(batch.images + delta)[0]
        rival = max(logits[other] for other in range(5) if other != chosen)
        lead = logits[chosen] - rival
        optimizer.zero_grad()
        (-lead if targeted else lead).clamp(min=0).backward()
        optimizer.step()
        with torch.no_grad():
            delta.copy_(torch.minimum(torch.maximum(delta, low), high))
    assert torch.allclose(ours, batch.images + delta, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("least", [0.0, -1.0])
def test_pgd_written_out(method, least: float) -> None:
    victim = Gated()
    batch = batch_for(victim, images(3))
    ours = perturbed(PGD(EPS, step=1.5 * BITS, steps=4, bounds=(least, 1.0), seed=7), victim, batch, method)
    for row, (image, label, sample_id) in enumerate(zip(*batch, strict=True)):
        noise = torch.rand(image.shape, generator=sample_generator(7, sample_id, "pgd"), dtype=torch.float64)
        x = (image + EPS * (2 * noise - 1)).clamp(least, 1)
        for _ in range(4):
            x = x.detach().requires_grad_()
            with method.applied_to(victim):
                F.cross_entropy(victim(x[None]), label[None]).backward()
            x = x.detach() + 1.5 * BITS * x.grad.sign()
            x = (image + (x - image).clamp(-EPS, EPS)).clamp(least, 1)
        assert torch.allclose(ours[row], x, rtol=0, atol=1e-12)


def test_pgd_starts_at_random_and_bim_does_not() -> None:
    victim = Gated()
    batch = batch_for(victim, images(2))
    tiny = {"step": 1e-11, "steps": 1}
    start = perturbed(PGD(EPS, **tiny), victim, batch) - batch.images
    assert float(perturbed(BIM(EPS, **tiny), victim, batch).sub(batch.images).abs().max()) < 1e-9
    inside = (batch.images > EPS) & (batch.images < 1 - EPS)
    share = start[inside] / EPS
    assert float(share.abs().max()) <= 1
    assert abs(float(share.mean())) < 0.1
    assert float(share.std()) == pytest.approx(3**-0.5, abs=0.06)  # uniform in [-1, 1]
