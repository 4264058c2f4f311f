"""Budgets besides the usual box: L2 balls, values that are no images, and attacks that keep their best iterate."""

import pytest
import torch
import torch.nn.functional as F
from attack_cases import Gated, Static, attacked, batch_for, images
from torch import Tensor

from lgm_bench.attacks import BIM, PGD, AutoPGD, CarliniWagner
from lgm_bench.attacks.budgets import L2Ball, LinfBall
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import hard_forward


@pytest.mark.parametrize("kind", [BIM, PGD, CarliniWagner, AutoPGD])
def test_an_l2_ball_holds_whole_images(kind) -> None:
    victim = Static()
    batch = batch_for(victim, images(6))
    budget = L2Ball(0.5)
    adversarial = attacked(kind(budget, step=0.1, steps=12), victim, batch).adversarial
    sizes = (adversarial - batch.images).flatten(1).norm(dim=1)
    assert bool((sizes <= 0.5 + 1e-9).all())
    assert sizes.max() > 0.45
    assert bool(budget.within(batch.images, adversarial).all())
    assert float(adversarial.min()) >= 0
    assert float(adversarial.max()) <= 1
    before, after = (F.cross_entropy(victim(x), batch.labels, reduction="none") for x in (batch.images, adversarial))
    assert bool((after > before).all())


def test_a_step_in_an_l2_ball_is_the_normalized_gradient() -> None:
    victim = Static()
    batch = batch_for(victim, images(3, margin=0.3))
    moved = attacked(BIM(L2Ball(9.0), step=0.25, steps=1), victim, batch).adversarial - batch.images
    x = batch.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(victim(x), batch.labels, reduction="sum"), x)
    for row in range(3):
        assert torch.allclose(moved[row], 0.25 * gradient[row] / gradient[row].norm(), rtol=0, atol=1e-12)


def test_random_starts_fill_an_l2_ball_evenly() -> None:
    generators = [torch.Generator().manual_seed(number) for number in range(3000)]
    noise = L2Ball(1.0).noise([1] * 3000, generators, torch.zeros(3000, 3, 1, 1))
    radius = noise.flatten(1).norm(dim=1)
    assert float(radius.max()) <= 1 + 1e-6
    assert float((radius**3).mean()) == pytest.approx(0.5, abs=0.02)  # the volume within a radius is uniform
    assert float(noise.mean(dim=0).abs().max()) < 0.03


def test_no_budget_no_move() -> None:
    victim = Static()
    batch = batch_for(victim, images(2))
    assert torch.equal(attacked(PGD(L2Ball(0.0), step=0.0, steps=2), victim, batch).adversarial, batch.images)


def test_images_of_any_number_of_channels() -> None:
    class Mean(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.mean(dim=(1, 2, 3)), 1 - x.mean(dim=(1, 2, 3))], dim=1)

    for channels in (1, 2, 5):
        x = torch.rand(4, channels, 6, 5, generator=torch.Generator().manual_seed(0))
        labels = Mean()(x).argmax(dim=1)
        moved = PGD(0.1, steps=3).perturb(Mean().eval(), x, labels) - x
        assert moved.shape == x.shape
        assert float(moved.abs().max()) > 0.09


def test_pixels_are_of_images() -> None:
    with pytest.raises(ConfigError, match=r"valid_pixels and mask are for images \(B, C, H, W\) only"):
        LinfBall(0.1, valid_pixels=0.5).around(torch.zeros(3, 7))


class BestBIM(BIM):
    """BIM that hands back the best of its iterates."""

    keeps_best = True


@pytest.mark.parametrize("active_set", [False, True])
def test_any_attack_can_keep_its_best_iterate(active_set: bool) -> None:
    victim = Gated()
    batch = batch_for(victim, images(10))
    result = attacked(BestBIM(80 / 255, step=30 / 255, steps=6, active_set=active_set), victim, batch)
    assert result.scores.shape == (7, 10)
    fallen = result.fallen.any(dim=0)
    assert int(fallen.sum()) > 0
    assert torch.equal(hard_forward(victim, result.adversarial)[0].argmax(1) != batch.labels, fallen)
    logits = hard_forward(victim, result.adversarial)[0]
    own = logits.gather(1, batch.labels[:, None]).squeeze(1)
    lead = own - logits.scatter(1, batch.labels[:, None], -torch.inf).amax(1)
    expected = torch.where(result.fallen == fallen, result.scores, torch.inf).amin(dim=0)
    assert torch.allclose(lead, expected, rtol=0, atol=1e-9)
    assert torch.equal(result.scores.gather(0, result.kept[None])[0], expected)
