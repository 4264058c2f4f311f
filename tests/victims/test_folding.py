"""Folding changes the last float digits of what a victim returns, and nothing else."""

import pytest
import torch
import torch.nn.functional as F
from conftest import shake
from torch import nn

from lgm_bench import FGM, LGM, architecture
from victims import load_victim
from victims.folding import folded


@pytest.mark.parametrize("method", [FGM(), LGM(3.0), LGM(3.0, "hard")], ids=repr)
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet20-cifar10", 32),
        ("skipnet20-cifar10", 32),
        ("dynconv14-cifar10", 32),
        ("resnet18-imagenet", 64),
        ("dynconv50-imagenet", 64),
    ],
)
def test_same_logits_gradients_and_architecture(name: str, size: int, method, float64) -> None:
    victim = load_victim(name, "random")
    shake(victim.network)
    fast = folded(victim)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in victim.modules())
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    results = []
    for network in (victim, fast):
        x = images.clone().requires_grad_()
        with method.applied_to(network):
            logits = network(x)
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, torch.tensor([0, 1, 2]), reduction="sum"), x)
        results.append((logits, gradient))
    for plain, fused in zip(*results, strict=True):
        assert (plain - fused).abs().max() < 1e-10 * plain.abs().max()
    for plain, fused in zip(architecture(victim, images), architecture(fast, images), strict=True):
        assert torch.equal(plain, fused)


def test_float32_agrees_to_rounding() -> None:
    victim = load_victim("skipnet20-cifar10", "random")
    shake(victim.network)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    gradients = []
    for network in (victim, folded(victim)):
        x = images.clone().requires_grad_()
        with LGM(2.0).applied_to(network):
            gradients.append(torch.autograd.grad(network(x).square().sum(), x)[0])
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[0].norm()


def test_the_victim_is_left_as_it_was() -> None:
    victim = load_victim("dynconv8-cifar10", "random").train()
    fast = folded(victim)
    assert victim.training
    assert all(parameter.requires_grad for parameter in victim.parameters())
    assert not fast.training
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert fast.checkpoint_id == victim.checkpoint_id


def test_networks_of_unknown_structure_keep_their_batch_norms() -> None:
    class PreActivation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn1, self.conv1 = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)
            self.tail = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))

        def forward(self, x):
            return self.tail(self.conv1(F.relu(self.bn1(x))))

    network = shake(PreActivation()).eval()
    fast = folded(network)
    assert isinstance(fast.bn1, nn.BatchNorm2d)
    assert isinstance(fast.tail[1], nn.Identity)
    x = torch.rand(2, 3, 4, 4)
    assert torch.allclose(fast(x), network(x), atol=1e-6)
