"""Adversarial training images: one step of the network's own gradient from a random start."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench import FGM, LGM
from lgm_bench.attacks import FGSM
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import calibrated
from victims import load_victim
from victims.training.adversarial import perturbed
from victims.training.recipe import Adversarial, Recipe, load_recipe, with_adversarial

EPS = 8 / 255


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.arange(6)


@pytest.mark.parametrize("gradient", ["fgm", "lgm"])
def test_without_noise_it_is_the_fast_gradient_sign_method(gradient: str, images: Tensor, labels: Tensor) -> None:
    victim = load_victim("dynconv8-mini").train()
    settings = Adversarial(gradient=gradient, noise=0, step=1, clipped=True)
    moved = perturbed(victim, images, labels, settings)
    assert victim.training
    victim.eval()
    method = FGM() if gradient == "fgm" else calibrated(LGM(), victim, images, steps=1)
    expected = FGSM(EPS).perturb(victim, images, labels, gradient=method)
    assert (moved - expected).abs().max() < 1e-6
    assert not torch.equal(moved, images)


def test_fgm_and_lgm_differ(images: Tensor, labels: Tensor) -> None:
    victim = load_victim("skipnet14-mini").train()
    fgm, lgm = (perturbed(victim, images, labels, Adversarial(gradient=name, noise=0)) for name in ("fgm", "lgm"))
    assert (fgm != lgm).double().mean() > 0.01


@pytest.mark.parametrize(
    ("settings", "reach"), [(Adversarial(), 3.0), (Adversarial(noise=1, step=1.25, clipped=True), 1.0)]
)
def test_noise_and_step_stay_in_reach(settings: Adversarial, reach: float, images: Tensor, labels: Tensor) -> None:
    victim = load_victim("dynconv8-mini").train()
    moved = perturbed(victim, images, labels, settings)
    change = (moved - images).abs()
    assert 0 <= moved.min() <= moved.max() <= 1
    assert 0.9 * reach * EPS < change.max() < reach * EPS + 1e-6
    assert not torch.equal(moved, perturbed(victim, images, labels, settings)), "the start is random"


def test_the_step_leaves_no_trace_in_the_network(images: Tensor, labels: Tensor) -> None:
    victim = load_victim("dynconv8-mini").train()
    before = {key: value.clone() for key, value in victim.state_dict().items()}
    perturbed(victim, images, labels, Adversarial())
    assert all(torch.equal(value, before[key]) for key, value in victim.state_dict().items())
    assert all(parameter.grad is None for parameter in victim.parameters())


def test_the_loss_is_that_of_the_perturbed_images(images: Tensor, labels: Tensor) -> None:
    """The step raises the loss that it trains on."""
    victim = load_victim("resnet8-mini").train()
    moved = perturbed(victim, images, labels, Adversarial(noise=0, eps="4/255"))
    victim.eval()
    assert F.cross_entropy(victim(moved), labels) > F.cross_entropy(victim(images), labels)


def test_lgm_needs_gates(images: Tensor, labels: Tensor) -> None:
    with pytest.raises(ConfigError, match="found no adaptive unit"):
        perturbed(load_victim("resnet8-mini").train(), images, labels, Adversarial(gradient="lgm"))


def test_point_clouds_are_refused() -> None:
    recipe = Recipe(objective="cross_entropy", epochs=1, learning_rate=0.1, adversarial=Adversarial())
    with pytest.raises(ConfigError, match="adversarial training is for image classifiers"):
        load_victim("minknet-modelnet40-mini", "random").configure_training(recipe)


def test_eps_is_a_fraction_or_a_number() -> None:
    assert Adversarial(eps="8/255").eps == Adversarial().eps == 8 / 255
    assert Adversarial(eps=0.5).eps == 0.5
    for wrong in ("8/0", "8", "eight"):
        with pytest.raises(ValueError, match="eps"):
            Adversarial(eps=wrong)


def test_options_of_the_command() -> None:
    plain, robust = load_recipe("dynconv20-cifar10"), load_recipe("dynconv20_at-cifar10")
    assert with_adversarial(plain, False, None) == plain
    assert with_adversarial(plain, True, "lgm").adversarial == Adversarial(gradient="lgm")
    assert with_adversarial(robust, False, None) == robust
    assert with_adversarial(robust, False, "lgm").adversarial == Adversarial(gradient="lgm")
    with pytest.raises(ConfigError, match="add --adversarial"):
        with_adversarial(plain, False, "fgm")
    with pytest.raises(ConfigError, match="fgm or lgm, got 'soft'"):
        with_adversarial(plain, True, "soft")


def test_networks_with_batch_norm_in_evaluation_mode_only_for_the_step(images: Tensor, labels: Tensor) -> None:
    modes = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3072, 10)

        def forward(self, x: Tensor) -> Tensor:
            modes.append(self.training)
            return self.layer(x.flatten(1))

    watched = Watched().train()
    perturbed(watched, images, labels, Adversarial())
    watched(images)
    assert modes == [False, True]
