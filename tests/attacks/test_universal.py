"""Universal perturbations: one change, learned on other images, that fools more than random noise does."""

import pytest
import torch
from torch import Tensor, nn

from datamodules import load_datamodule
from lgm_bench import FGM, LGM
from lgm_bench.attacks import L2Ball, LinfBall, RandomNoise, Universal
from lgm_bench.errors import ConfigError
from victims import load_victim

EPS = 16 / 255


def digits(subset: str, limit: int) -> list[tuple[Tensor, Tensor, list[str]]]:
    data = load_datamodule("digits", batch_size=50, limit=limit, subset=subset)
    data.setup("test")
    return list(data.test_dataloader())


@pytest.mark.parametrize("gradient", [FGM(), LGM("auto")])
def test_one_change_fools_images_that_it_was_not_learned_on(gradient: FGM | LGM) -> None:
    victim, attack = load_victim("dynconv8-mini"), Universal(EPS, 2 / 255, 20)
    change = attack.learned(victim, digits("holdout", 100), gradient)
    assert change.shape == (3, 32, 32)
    assert 0.9 * EPS < change.abs().max() <= EPS
    ((images, labels, ids),) = digits("test", 50)
    moved = attack.with_change(change).perturb(victim, images, labels, gradient=gradient, ids=ids)
    assert torch.equal(moved, (images + change).clamp(0, 1).clamp(images - EPS, images + EPS))
    noisy = RandomNoise(EPS).perturb(victim, images, labels, ids=ids)
    left, after_noise = ((victim(x).argmax(dim=1) == labels).double().mean() for x in (moved, noisy))
    assert left < after_noise - 0.2


def test_the_step_follows_the_gradient_summed_over_the_batch() -> None:
    victim = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()
    images, labels = torch.rand(4, 3, 2, 2) * 0.5 + 0.25, torch.tensor([0, 1, 2, 0])
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(victim(x), labels, reduction="sum"), x)
    change = Universal(0.1, 0.03, 1).learned(victim, [(images, labels, list("abcd"))], FGM())
    assert torch.allclose(change, 0.03 * gradient.sum(dim=0).sign())


def test_pixels_that_may_not_change_are_left_alone() -> None:
    victim, mask = load_victim("dynconv8-mini"), torch.zeros(32, 32, dtype=torch.bool)
    mask[3:9, 4:7] = True
    change = Universal(LinfBall(EPS, mask=mask), 2 / 255, 3).learned(victim, digits("holdout", 50), FGM())
    assert torch.equal(change != 0, mask.expand(3, 32, 32) & (change != 0))
    assert change.abs().sum() > 0


def test_what_it_cannot_do_is_refused() -> None:
    victim, batches = load_victim("dynconv8-mini"), digits("holdout", 10)
    ((images, labels, _),) = batches
    with pytest.raises(ConfigError, match="L-infinity ball, got L2Ball"):
        Universal(L2Ball(0.5)).learned(victim, batches, FGM())
    with pytest.raises(ConfigError, match="needs at least one"):
        Universal(EPS).learned(victim, [], FGM())
    with pytest.raises(ConfigError, match="universal has no change yet"):
        Universal(EPS).perturb(victim, images, labels)
    ready = Universal(EPS).with_change(torch.zeros(3, 32, 32))
    with pytest.raises(ConfigError, match="and targets"):
        ready.perturb(victim, images, labels, target=labels)
    with pytest.raises(ConfigError, match=r"images \(3, 32, 32\); got images \(3, 16, 16\)"):
        ready.perturb(victim, torch.rand(2, 3, 16, 16), labels[:2])
