"""Folding changes the last float digits of what a victim returns, and nothing else."""

import logging

import pytest
import torch
import torch.nn.functional as F
from shaking import shake
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from lgm_bench import FGM, LGM, StraightThrough, architecture
from lgm_bench.leaded import GradientMethod
from victims import load_victim
from victims.dynconv import DynConv, MaskedBottleneck
from victims.folding import folded
from victims.image_victim import ImageVictim
from victims.residual import BasicBranch, BottleneckBranch
from victims.skipnet import SkipNet

NARROW = (8, 16, 24, 32)
"""Widths of networks that have the structure of the ImageNet ones, in little time."""

SOFT, HARD = LGM(3.0), StraightThrough(3.0)


def build(name: str) -> ImageVictim:
    blocks = (1, 2, 1, 1)
    networks = {
        "skipnet-imagenet": lambda: SkipNet(blocks, NARROW, BottleneckBranch, imagenet=True),
        "dynconv-imagenet": lambda: DynConv(blocks, NARROW, MaskedBottleneck, imagenet=True),
        "resnet-imagenet": lambda: ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10, width_per_group=8, groups=2),
        "resnet-imagenet-basic": lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10),
    }
    if name not in networks:
        return load_victim(name, "random")
    torch.manual_seed(0)
    return ImageVictim(networks[name](), (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)).eval()


def images(size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=dtype)


def outcome(network: nn.Module, method: GradientMethod, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    with method.applied_to(network):
        logits = network(x)
        loss = F.cross_entropy(logits, torch.arange(len(x)), reduction="sum")
    return logits.detach(), torch.autograd.grad(loss, x)[0]


@pytest.mark.parametrize(
    ("name", "size", "methods"),
    [
        ("resnet20-cifar10", 32, [FGM()]),
        ("skipnet20-cifar10", 32, [FGM(), SOFT, HARD]),
        ("dynconv14-cifar10", 32, [FGM(), SOFT, HARD]),
        ("resnet-imagenet", 64, [FGM()]),
        ("resnet-imagenet-basic", 64, [FGM()]),
        ("skipnet-imagenet", 64, [FGM(), SOFT, HARD]),
        ("dynconv-imagenet", 64, [FGM(), SOFT, HARD]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_same_logits_gradients_and_architecture(name: str, size: int, methods: list[GradientMethod]) -> None:
    victim = shake(build(name)).double()
    fast = folded(victim)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in victim.modules())
    x = images(size)
    for method in methods:
        for plain, fused in zip(outcome(victim, method, x), outcome(fast, method, x), strict=True):
            assert (plain - fused).abs().max() < 1e-10 * plain.abs().max(), method
    decisions = architecture(victim, x)
    assert not decisions or 0 < torch.cat([d.flatten() for d in decisions]).float().mean() < 1
    for plain, fused in zip(decisions, architecture(fast, x), strict=True):
        assert torch.equal(plain, fused)


@pytest.mark.parametrize("name", ["resnet20-cifar10", "skipnet20-cifar10", "dynconv14-cifar10", "dynconv-imagenet"])
def test_float32_agrees_to_rounding(name: str) -> None:
    victim = shake(build(name))
    x = images(32, torch.float32)
    method = FGM() if name.startswith("resnet") else LGM(2.0)
    plain, fused = outcome(victim, method, x), outcome(folded(victim), method, x)
    for a, b in zip(plain, fused, strict=True):
        assert (a - b).norm() < 1e-5 * a.norm()


def test_convolutions_are_channels_last_and_frozen() -> None:
    fast = folded(load_victim("dynconv8-cifar10", "random"))
    weights = [module.weight for module in fast.modules() if isinstance(module, nn.Conv2d) and module.in_channels > 1]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert not any(parameter.requires_grad for parameter in fast.parameters())


def test_the_victim_is_left_as_it_was() -> None:
    victim = load_victim("dynconv8-cifar10", "random").train()
    before = {key: value.clone() for key, value in victim.state_dict().items()}
    fast = folded(victim)
    assert victim.training
    assert all(parameter.requires_grad for parameter in victim.parameters())
    assert all(torch.equal(value, before[key]) for key, value in victim.state_dict().items())
    assert not fast.training
    assert fast.checkpoint_id == victim.checkpoint_id


class PreActivation(nn.Module):
    """Batch norms before the convolutions of the same number, and one pair in a Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)
        self.tail = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.conv1(F.relu(self.bn1(x))))


class Reordered(BasicBranch):
    """A subclass of a known block that uses its layers in another order."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))


class Reversed(nn.Sequential):
    """A Sequential that is none."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in reversed(self):
            x = layer(x)
        return x


@pytest.mark.parametrize(
    ("network", "kept"),
    [
        (PreActivation(), 1),
        (Reordered(3, 3, 1), 2),
        (Reversed(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), 1),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)), 1),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)), 1),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1)), nn.BatchNorm2d(4)), 1),
        (nn.Sequential(nn.ConvTranspose2d(3, 4, 1), nn.BatchNorm2d(4)), 1),
    ],
    ids=["pre-activation", "subclass", "own-sequential", "no-statistics", "relu-between", "parametrized", "transposed"],
)
def test_what_is_not_understood_is_left_and_named(network: nn.Module, kept: int, caplog) -> None:
    network = network.double().eval()
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        if norm.running_var is not None:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    with caplog.at_level(logging.INFO, "victims.folding"):
        fast = folded(network)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in fast.modules()) == kept
    assert f"{kept} batch norms are not folded" in caplog.text
    x = images(8)
    assert torch.allclose(fast(x), network(x), rtol=1e-12)


def test_layers_with_hooks_go_on_calling_them() -> None:
    heard: list[Tensor] = []
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    network[0].register_forward_hook(lambda *call: heard.append(call[-1]))
    expected = network[0](images(8, torch.float32))
    folded(network)(images(8, torch.float32))
    assert torch.allclose(heard[-1], expected, atol=1e-6)


def test_networks_without_batch_norms(caplog) -> None:
    with caplog.at_level(logging.INFO, "victims.folding"):
        fast = folded(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)))
    assert not caplog.text
    assert fast(torch.zeros(1, 3, 2, 2)).shape == (1, 2)
