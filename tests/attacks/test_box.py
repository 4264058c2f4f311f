"""Where adversarial images may be: within eps, in the valid range, and changed in the valid pixels only."""

import pytest
import torch
from attack_cases import BITS, LOOPS, METHODS, Gated, batch_for, images, perturbed

from lgm_bench.attacks import BIM, PGD
from lgm_bench.attacks.budgets import valid_pixel_mask
from lgm_bench.errors import ConfigError

ROUNDING = 1e-12


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("name", LOOPS)
def test_images_stay_in_the_box_and_reach_its_sides(name: str, low: float, method) -> None:
    victim = Gated()
    batch = batch_for(victim, images(6))
    adversarial = perturbed(LOOPS[name](eps=8 * BITS, bounds=(low, 1.0)), victim, batch, method)
    change = adversarial - batch.images
    assert adversarial.dtype == torch.float64
    assert float(change.abs().max()) == pytest.approx(8 * BITS, rel=1e-3)
    assert float(change.abs().max()) <= 8 * BITS + ROUNDING
    assert low <= float(adversarial.min())
    assert float(adversarial.max()) <= 1
    assert (float(adversarial.min()) < 0) == (low < 0)


@pytest.mark.parametrize("name", LOOPS)
def test_only_valid_pixels_change(name: str) -> None:
    victim = Gated()
    batch = batch_for(victim, images(4, size=32))
    changed = [
        (perturbed(LOOPS[name](eps=8 * BITS, valid_pixels=0.05, seed=seed), victim, batch, method) != batch.images)
        for seed, method in ((0, METHODS[0]), (9, METHODS[1]))
    ]
    expected = valid_pixel_mask(32, 32, 0.05)
    assert int(expected.sum()) == 51
    for moved in changed:
        assert torch.equal(moved.any(dim=(0, 1)), expected), "one set of pixels for all images, channels and seeds"
        assert not moved[:, :, ~expected].any()


def test_the_valid_pixels_are_always_the_same_ones() -> None:
    torch.manual_seed(5)
    first = valid_pixel_mask(32, 32, 0.05)
    torch.manual_seed(6)
    assert torch.equal(valid_pixel_mask(32, 32, 0.05), first)
    order = torch.randperm(1024, generator=torch.Generator().manual_seed(1))
    assert set(first.flatten().nonzero().flatten().tolist()) == set(order[:51].tolist())
    assert valid_pixel_mask(3, 5, 1.0).all()
    assert int(valid_pixel_mask(10, 10, 0.29).sum()) == 29  # 0.29 * 100 is a little less in floating point


def test_a_mask_of_ones_own() -> None:
    victim, mask = Gated(), torch.zeros(8, 8, dtype=torch.bool)
    mask[2, 3:6] = True
    batch = batch_for(victim, images(3))
    moved = perturbed(BIM(8 * BITS, steps=3, mask=mask), victim, batch) != batch.images
    assert torch.equal(moved.any(dim=(0, 1)), mask)
    with pytest.raises(ConfigError, match=r"size \(8, 8\), got \(4, 4\)"):
        perturbed(BIM(8 * BITS, mask=torch.ones(4, 4)), victim, batch)
    with pytest.raises(ConfigError, match=r"either a mask or valid_pixels=0\.05"):
        BIM(8 * BITS, mask=mask, valid_pixels=0.05)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_of_pixels_out_of_range(share: float) -> None:
    with pytest.raises(ConfigError, match="valid_pixels"):
        PGD(8 * BITS, valid_pixels=share)


def test_a_share_that_leaves_no_pixel() -> None:
    victim = Gated()
    with pytest.raises(ConfigError, match="less than one pixel of a 4 x 4 image"):
        perturbed(BIM(8 * BITS, valid_pixels=0.05), victim, batch_for(victim, images(1, size=4)))


@pytest.mark.parametrize("name", LOOPS)
def test_an_eps_of_0_changes_nothing(name: str) -> None:
    victim = Gated()
    batch = batch_for(victim, images(3))
    assert torch.equal(perturbed(LOOPS[name](eps=0), victim, batch), batch.images)


def test_a_pixel_without_gradient_stays() -> None:
    victim = Gated()
    batch = batch_for(victim, images(2))
    victim.register_forward_pre_hook(lambda _, inputs: (inputs[0] * (torch.arange(8) < 5),))
    change = perturbed(BIM(8 * BITS, steps=3), victim, batch) - batch.images
    assert change[..., :5].all()
    assert not change[..., 5:].any()
