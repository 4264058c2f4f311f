"""An attack leaves the victim, the batch and the gradient mode as it found them, also when it fails."""

import copy

import pytest
import torch
from attack_cases import BITS, LOOPS, METHODS, Gated, Static, batch_for, images, perturbed

from lgm_bench import FGM, LGM
from lgm_bench.attacks import BIM, PGD
from lgm_bench.errors import ConfigError


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("name", LOOPS)
def test_parameters_get_no_gradient_and_nothing_changes(name: str, method) -> None:
    victim = Gated()
    victim.head.requires_grad_(False)
    victim.first.weight.grad = torch.ones_like(victim.first.weight)
    batch = batch_for(victim, images(3))
    state, kept = copy.deepcopy(victim.state_dict()), [value.clone() for value in batch[:2]]
    wanted = {key: parameter.requires_grad for key, parameter in victim.named_parameters()}
    adversarial = perturbed(LOOPS[name](eps=8 * BITS), victim, batch, method)
    assert not adversarial.requires_grad
    assert {key: parameter.requires_grad for key, parameter in victim.named_parameters()} == wanted
    assert torch.equal(victim.first.weight.grad, torch.ones_like(victim.first.weight))
    assert all(parameter.grad is None for key, parameter in victim.named_parameters() if key != "first.weight")
    assert all(torch.equal(value, state[key]) for key, value in victim.state_dict().items())
    assert all(torch.equal(now, then) for now, then in zip(batch[:2], kept, strict=True))
    assert isinstance(victim.occupancy.gradient, FGM)
    assert not victim.training


def test_parameters_require_no_gradient_while_gradients_are_computed() -> None:
    victim, seen = Gated(), []
    victim.register_forward_pre_hook(lambda module, _: seen.extend(p.requires_grad for p in module.parameters()))
    perturbed(BIM(8 * BITS, steps=2), victim, batch_for(victim.requires_grad_(), images(2)))
    assert seen.count(True) == 8  # the test's own call
    assert seen.count(False) == 16


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_victim_that_fails_is_left_as_it_was(fails_at: int) -> None:
    victim, calls = Gated(), []
    batch = batch_for(victim, images(2))

    def fail(module: torch.nn.Module, inputs: object) -> None:
        calls.append(module.occupancy.gradient)
        if len(calls) == fails_at:
            raise RuntimeError("out of memory")

    handle = victim.register_forward_pre_hook(fail)
    outside = LGM(2.0)
    with outside.applied_to(victim), pytest.raises(RuntimeError, match="out of memory"):
        perturbed(BIM(8 * BITS, steps=4, active_set=True), victim, batch, LGM(5.0))
    handle.remove()
    assert isinstance(victim.occupancy.gradient, FGM)
    assert all(parameter.requires_grad for parameter in victim.parameters())
    assert all(parameter.grad is None for parameter in victim.parameters())
    assert torch.is_grad_enabled()
    soft = [isinstance(gradient, LGM) and gradient.slope == 5.0 for gradient in calls]
    assert soft == [True, False, True][:fails_at], "leaded while gradients are computed, hard for the verdict"


def test_a_gradient_method_in_force_outside_does_not_reach_the_attack() -> None:
    victim = Gated()
    batch = batch_for(victim, images(3))
    expected = perturbed(BIM(8 * BITS, steps=4), victim, batch, FGM())
    outside = LGM(0.5)
    with outside.applied_to(victim):
        assert torch.equal(perturbed(BIM(8 * BITS, steps=4), victim, batch, FGM()), expected)
        assert victim.occupancy.gradient is outside


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_it_works_whatever_the_gradient_mode(mode) -> None:
    victim = Static()
    batch = batch_for(victim, images(2))
    expected = perturbed(BIM(8 * BITS, steps=3), victim, batch)
    with mode():
        before = torch.is_grad_enabled()
        assert torch.equal(perturbed(BIM(8 * BITS, steps=3), victim, batch), expected)
        assert torch.is_grad_enabled() == before


def test_images_that_require_gradients_are_only_read() -> None:
    victim = Static()
    batch = batch_for(victim, images(2))
    attached = batch._replace(images=batch.images.clone().requires_grad_())
    assert torch.equal(
        perturbed(BIM(8 * BITS, steps=3), victim, attached), perturbed(BIM(8 * BITS, steps=3), victim, batch)
    )
    assert attached.images.grad is None


def test_float32_images_stay_float32() -> None:
    victim = Static().float()
    batch = batch_for(victim, images(2).float())
    adversarial = perturbed(BIM(8 * BITS, steps=10), victim, batch)
    assert adversarial.dtype == torch.float32
    assert float((adversarial - batch.images).abs().max()) <= 8 / 255 + 1e-6


@pytest.mark.parametrize("name", LOOPS)
def test_progress_counts_every_iteration(name: str) -> None:
    victim, seen = Static(), []
    attack = LOOPS[name](eps=8 * BITS)
    perturbed(attack, victim, batch_for(victim, images(2)), progress=lambda i, steps: seen.append((i, steps)))
    assert seen == [(number, attack.steps) for number in range(1, attack.steps + 1)]


def test_progress_ends_at_the_end_when_all_have_fallen() -> None:
    victim, seen = Static(seed=3), []
    batch = batch_for(victim, images(4))
    wrong = batch._replace(labels=(batch.labels + 1) % 5)
    attack = BIM(8 * BITS, steps=9, active_set=True)
    assert torch.equal(
        perturbed(attack, victim, wrong, progress=lambda i, steps: seen.append((i, steps))), batch.images
    )
    assert seen == [(9, 9)]


def test_an_interrupt_gets_through() -> None:
    victim = Static()
    batch = batch_for(victim, images(2))

    def stop(i: int, steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perturbed(BIM(8 * BITS, steps=9), victim, batch, progress=stop)
    assert all(parameter.requires_grad for parameter in victim.parameters())
    with pytest.raises(ConfigError):
        perturbed(BIM(8 * BITS), victim.train(), batch)


def test_labels_of_any_integer_type_and_images_of_inference_mode() -> None:
    victim = Gated()
    batch = batch_for(victim, images(3))
    expected = BIM(8 * BITS, steps=3).perturb(victim, batch.images, batch.labels)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(BIM(8 * BITS, steps=3).perturb(victim, batch.images, batch.labels.to(dtype)), expected)
    with torch.inference_mode():
        x, labels = batch.images.clone(), batch.labels.clone()
    assert (
        torch.equal(BIM(8 * BITS, steps=3).perturb(victim, x, labels, gradient=LGM(5.0), target=labels + 0), x) is False
    )
    assert torch.equal(BIM(8 * BITS, steps=3).perturb(victim, x, labels), expected)


def test_an_autocast_around_the_call_changes_no_pixel() -> None:
    victim = Gated().float()
    batch = batch_for(victim, images(4).float())
    attack = BIM(8 * BITS, steps=6)
    expected = attack.perturb(victim, batch.images, batch.labels, gradient=LGM(5.0))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attack.perturb(victim, batch.images, batch.labels, gradient=LGM(5.0)), expected)
        rounded = attack.attack(victim, batch.images, batch.labels, gradient=LGM(5.0)).adversarial
    assert not torch.equal(rounded, expected), "or the test could not fail"


def test_ids_are_places_in_the_batch_if_none_are_given() -> None:
    victim = Static()
    batch = batch_for(victim, images(3))
    attack = PGD(8 * BITS, steps=1)
    named = attack.perturb(victim, batch.images, batch.labels, ids=["0", "1", "2"])
    assert torch.equal(attack.perturb(victim, batch.images, batch.labels), named)


def test_adversarial_images_are_contiguous_whatever_the_layout_of_the_clean_ones() -> None:
    """Other libraries call `view` on what they are given."""
    victim, x = Static(), images(2)
    labels = victim(x).argmax(dim=1)
    turned = x.contiguous(memory_format=torch.channels_last)
    adversarial = BIM(8 * BITS, steps=2).perturb(victim, turned, labels)
    assert adversarial.is_contiguous()
    assert torch.equal(adversarial, BIM(8 * BITS, steps=2).perturb(victim, x, labels))
