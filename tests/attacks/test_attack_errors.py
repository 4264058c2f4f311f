"""What an attack refuses, and that it says the value and the remedy."""

from typing import Any

import pytest
import torch
from attack_cases import BITS, LOOPS, Gated, Static, batch_for, images, perturbed
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench import LGM
from lgm_bench.attacks import ATTACKS, BIM, FGSM, Attack, AutoAttack, AutoPGD
from lgm_bench.errors import ConfigError, LgmBenchError, UnknownNameError
from lgm_bench.registry import resolve

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("eps", [-1, NAN, INFINITE])
def test_eps(name: str, eps: float) -> None:
    with pytest.raises(ConfigError, match=f"eps must be .* at least 0, got {eps}"):
        LOOPS[name](eps=eps)


@pytest.mark.parametrize("step", [-0.5, 0, NAN, INFINITE])
def test_step(step: float) -> None:
    with pytest.raises(ConfigError, match=f"step must be .*, got {step}"):
        BIM(8 * BITS, step=step)


@pytest.mark.parametrize("steps", [0, -3, 2.0, True, "10"])
def test_steps(steps: Any) -> None:
    with pytest.raises(ConfigError, match="steps must be a whole number of at least 1"):
        AutoPGD(8 * BITS, steps=steps)


def test_a_single_step_attack_takes_one_step() -> None:
    with pytest.raises(ConfigError, match="use bim for more"):
        FGSM(8 * BITS, steps=2)
    assert (FGSM(0.5).step, FGSM(0.5).steps, FGSM(0.5, step=0.25).step) == (0.5, 1, 0.25)


@pytest.mark.parametrize("seed", [-1, 0.5, True])
def test_seed(seed: Any) -> None:
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        BIM(8 * BITS, seed=seed)


def test_bounds_loss_and_name() -> None:
    with pytest.raises(ConfigError, match=r"bounds must be a smallest and a larger value, got \(1\.0, 0\.0\)"):
        BIM(8 * BITS, bounds=(1.0, 0.0))
    with pytest.raises(UnknownNameError, match="unknown loss of bim 'dlx'; did you mean dlr"):
        BIM(8 * BITS, loss="dlx")
    with pytest.raises(UnknownNameError, match="did you mean autopgd"):
        resolve("attack", "autopdg", ATTACKS)
    for name in LOOPS:
        assert resolve("attack", name, ATTACKS).name == name


def test_a_victim_in_training_mode() -> None:
    victim = Gated()
    batch = batch_for(victim, images(2))
    with pytest.raises(ConfigError, match=r"Gated is in training mode.*call victim\.eval\(\)"):
        perturbed(BIM(8 * BITS), victim.train(), batch)


def test_a_batch_norm_in_training_mode() -> None:
    victim = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.LazyLinear(5)).double().eval()
    batch = batch_for(victim, images(2))
    before = victim[0].running_mean.clone()
    victim[0].train()
    with pytest.raises(ConfigError, match="the batch norm '0' of Sequential is in training mode"):
        perturbed(BIM(8 * BITS), victim, batch)
    assert torch.equal(victim[0].running_mean, before)


def test_inference_mode() -> None:
    victim = Gated()
    batch = batch_for(victim, images(2))
    with torch.inference_mode(), pytest.raises(ConfigError, match="inference_mode=False"):
        perturbed(BIM(8 * BITS), victim, batch)


class TwoOutputs(Static):
    """Returns the logits twice."""

    def forward(self, x: Tensor) -> Any:
        logits = super().forward(x)
        return logits, logits


@pytest.mark.parametrize("attack", [BIM(8 * BITS), AutoAttack(8 * BITS), BIM(8 * BITS, steps=1, active_set=True)])
def test_a_victim_with_several_outputs(attack: Attack) -> None:
    victim = TwoOutputs().eval()
    batch = batch_for(Static(), images(2))
    with pytest.raises(ConfigError, match=r"returned a tuple, expected one tensor of logits.*wrap it in a module"):
        perturbed(attack, victim, batch)


def broken(**changes: Any) -> ImageBatch:
    return batch_for(Static(), images(3))._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": images(3)[0]}, r"images must be a floating point tensor of shape \(B, channels, H, W\)"),
        ({"images": images(3)[:0], "labels": torch.zeros(0, dtype=torch.int64), "ids": []}, "images must be"),
        ({"images": torch.zeros(3, 3, 8, 8, dtype=torch.uint8)}, r"got torch\.uint8"),
        ({"images": images(3) * 255}, r"images must lie in \[0, 1\].*'sample-000'.*normalization belongs inside"),
        ({"images": images(3) - 0.5}, r"images must lie in \[0, 1\]"),
        ({"images": images(3).index_fill(0, torch.tensor(1), NAN)}, "'sample-001'"),
        ({"labels": torch.zeros(2, dtype=torch.int64)}, r"labels must be whole numbers of shape \(3,\)"),
        (
            {"labels": torch.zeros(3)},
            r"labels must be whole numbers of shape \(3,\), one for each image, got torch\.float32",
        ),
        ({"labels": torch.ones(3, dtype=torch.bool)}, r"got torch\.bool"),
        ({"labels": [0, 1, 2]}, r"labels must be a tensor of class indices, got list"),
        ({"labels": torch.tensor([0, -1, 2])}, "labels must be at least 0, got -1"),
        ({"labels": torch.tensor([0, 1, 5])}, r"class 5 is out of range: the victim has 5 classes \(0 to 4\)"),
        ({"ids": ["a", "b"]}, "3 images have 2 ids"),
        (
            {"images": images(3).float()},
            r"inputs are torch\.float32 and the victim's weights are torch\.float64; convert",
        ),
    ],
)
def test_batches(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        perturbed(BIM(8 * BITS, steps=2), Static(), broken(**changes))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.zeros(2, dtype=torch.int64), r"target must be whole numbers of shape \(3,\)"),
        (torch.full((3,), -1), "target must be at least 0, got -1"),
        (torch.full((3,), 7), "class 7 is out of range"),
    ],
)
def test_targets(target: torch.Tensor, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        perturbed(BIM(8 * BITS, steps=2), Static(), broken(), target=target)


@pytest.mark.parametrize("name", LOOPS)
def test_a_gradient_that_is_not_finite(name: str) -> None:
    victim = Gated()
    batch = batch_for(victim, images(3))
    victim.head.weight.data[0, 0] = NAN
    with pytest.raises(ConfigError, match=r"gradient of 3 samples is not finite \(first: 'sample-000'\) under LGM"):
        perturbed(LOOPS[name](eps=8 * BITS), victim, batch, LGM(5.0))


def test_only_the_samples_without_a_finite_gradient_are_named() -> None:
    victim = Static()
    batch = batch_for(victim, images(3))
    hook = victim.register_forward_hook(lambda _, __, logits: logits / (batch.labels.new_tensor([1, 0, 1]))[:, None])
    with pytest.raises(ConfigError, match=r"gradient of 1 samples is not finite \(first: 'sample-001'\)"):
        perturbed(BIM(8 * BITS, steps=1), victim, batch)
    hook.remove()


def test_a_verdict_of_logits_that_are_no_numbers() -> None:
    """Else such a sample would count as fallen, since the largest of its logits is not the label's."""
    victim = Gated()
    batch = batch_for(victim, images(3))
    offsets = torch.tensor([0, NAN, 0])
    victim.register_forward_hook(lambda _, __, logits: logits + (0 if torch.is_grad_enabled() else offsets[:, None]))
    for attack in (BIM(8 * BITS, steps=2, active_set=True), AutoAttack(8 * BITS, members=["square"], queries=2)):
        with pytest.raises(ConfigError, match=r"logits of 1 samples are not finite \(first: 'sample-001'\)"):
            perturbed(attack, victim, batch, LGM(5.0))


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_samples_that_are_no_numbers_are_not_the_weights_fault(value: float) -> None:
    victim = Static()
    batch = batch_for(victim, images(3))
    batch.images[1, 0, 0, 0] = value
    with pytest.raises(ConfigError, match=r"1 of 3 images have values that are NaN .* \(first: 'sample-001'\)"):
        perturbed(FGSM(8 * BITS), victim, batch)


def test_a_victim_whose_logits_have_another_shape() -> None:
    victim = Static()
    batch = batch_for(victim, images(3))
    victim.register_forward_hook(lambda _, __, logits: logits[:, :, None])
    with pytest.raises(LgmBenchError, match=r"logits of shape \(3, 5, 1\), expected \(3, classes\)"):
        perturbed(BIM(8 * BITS), victim, batch)
