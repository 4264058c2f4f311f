"""`Leaded(victim, LGM(...))` under other people's attack libraries: they attack it, and follow the leaded gradient."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from shaking import shake
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench import FGM, LGM, Leaded, StraightThrough
from lgm_bench.attacks import BIM, FGSM, CarliniWagner
from lgm_bench.leaded import hard_forward
from victims import load_victim

EPS, STEP, STEPS = 8 / 255, 2 / 255, 5
METHODS = [FGM(), LGM(5.0), StraightThrough(5.0)]


@pytest.fixture(params=["dynconv8-cifar10", "skipnet20-cifar10"])
def victim(request: pytest.FixtureRequest) -> nn.Module:
    return shake(load_victim(request.param, "random")).eval().requires_grad_(False)


@pytest.fixture
def batch(victim: nn.Module) -> ImageBatch:
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return ImageBatch(x, hard_forward(victim, x)[0].argmax(dim=1), list("abcd"))


def by_foolbox(network: nn.Module, batch: ImageBatch, steps: int) -> Tensor:
    foolbox = pytest.importorskip("foolbox", reason="foolbox (extra `interop`) is not installed")
    attack = (
        foolbox.attacks.LinfFastGradientAttack()
        if steps == 1
        else foolbox.attacks.LinfBasicIterativeAttack(abs_stepsize=STEP, steps=steps)
    )
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    return attack.run(model, batch.images, foolbox.criteria.Misclassification(batch.labels), epsilon=EPS)


def art_classifier(network: nn.Module):
    pytest.importorskip("art", reason="ART (adversarial-robustness-toolbox, extra `interop`) is not installed")
    from art.estimators.classification import PyTorchClassifier

    loss = nn.CrossEntropyLoss(reduction="sum")
    return PyTorchClassifier(network, loss, (3, 32, 32), 10, clip_values=(0.0, 1.0), device_type="cpu")


def by_art(network: nn.Module, batch: ImageBatch, steps: int) -> Tensor:
    classifier = art_classifier(network)
    from art.attacks.evasion import BasicIterativeMethod, FastGradientMethod

    attack = (
        FastGradientMethod(classifier, eps=EPS)
        if steps == 1
        else BasicIterativeMethod(classifier, eps=EPS, eps_step=STEP, max_iter=steps, verbose=False)
    )
    adversarial = attack.generate(batch.images.numpy(), one_hot(batch.labels))
    network.eval()  # ART leaves a network with an LSTM in training mode, its batch norms excepted
    return torch.from_numpy(adversarial)


def one_hot(labels: Tensor) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[labels.numpy()]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("library", [by_foolbox, by_art])
def test_one_step_is_ours(victim: nn.Module, batch: ImageBatch, library: Callable[..., Tensor], method) -> None:
    theirs = library(Leaded(victim, method), batch, 1)
    ours = FGSM(EPS).perturb(victim, batch.images, batch.labels, gradient=method)
    # where a gradient is all but 0, its sign may hang on the last digit of a float32
    assert float(((ours - theirs).abs() > 1e-6).float().mean()) < 1e-3
    assert float((theirs - batch.images).abs().mean()) > 0.9 * EPS


@pytest.mark.parametrize("library", [by_foolbox, by_art])
def test_many_steps_follow_the_leaded_gradient(victim: nn.Module, batch: ImageBatch, library) -> None:
    leaded = library(Leaded(victim, LGM(5.0)), batch, STEPS)
    blind = library(Leaded(victim, FGM()), batch, STEPS)
    ours = BIM(EPS, step=STEP, steps=STEPS).perturb(victim, batch.images, batch.labels, gradient=LGM(5.0))
    assert float(((ours - leaded).abs() > 1e-6).float().mean()) < 0.01
    assert float(((blind - leaded).abs() > 1e-6).float().mean()) > 0.1
    assert float((leaded - batch.images).abs().max()) <= EPS + 1e-6
    assert float(leaded.min()) >= 0
    assert float(leaded.max()) <= 1


def test_art_sees_leaded_logits_and_gradients(victim: nn.Module, batch: ImageBatch) -> None:
    method = LGM(5.0)
    classifier = art_classifier(Leaded(victim, method))
    images = batch.images.clone().requires_grad_()
    with method.applied_to(victim):
        logits = victim(images)
        loss = nn.functional.cross_entropy(logits, batch.labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    assert np.allclose(classifier.predict(batch.images.numpy()), logits.detach().numpy(), atol=1e-4)
    theirs = classifier.loss_gradient(batch.images.numpy(), one_hot(batch.labels))
    assert np.allclose(theirs, gradient.numpy(), atol=1e-4 * float(gradient.abs().max()))
    hard = hard_forward(victim, batch.images)[0]
    assert not torch.allclose(hard, logits, atol=1e-2), "the victim itself stays hard, and leaded logits are others"


def test_our_attacks_take_a_wrapper_too(victim: nn.Module, batch: ImageBatch) -> None:
    """A wrapped victim keeps its own gradient, whatever it is attacked with."""
    attack, (images, labels, _) = CarliniWagner(EPS, steps=3), batch
    wrapped = attack.perturb(Leaded(victim, LGM(5.0)), images, labels)
    assert torch.equal(wrapped, attack.perturb(victim, images, labels, gradient=LGM(5.0)))
