"""Names resolve to networks of the promised depth that take images to logits and decisions."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from lgm_bench import architecture
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.leaded import hard_forward
from lgm_bench.registry import resolve
from victims import load_victim, victim_names
from victims.names import VICTIMS

CIFAR10 = [name for name in victim_names() if name.endswith("-cifar10")]
IMAGENET = [name for name in victim_names() if name.endswith("-imagenet")]


def family_and_depth(name: str) -> tuple[str, int]:
    family, depth = re.match(r"([a-z]+)(\d+)(?:_[a-z]+)?-", name).groups()
    return family, int(depth)


def convolutions(network: nn.Module) -> int:
    """Convolutions on the longest path: score layers and shortcuts do not count."""
    aside = ("maskconv", "_gate", "_ds", "downsample", "control")
    modules = network.named_modules()
    return sum(isinstance(m, nn.Conv2d) and not any(part in key for part in aside) for key, m in modules)


def units(name: str) -> int:
    """Uses of a unit in one forward pass: a decision for each block but the first, or two masks for each block."""
    family, depth = family_and_depth(name)
    per_block = 3 if "imagenet" in name and depth >= 50 else 2
    blocks = (depth - 2) // per_block
    return {"resnet": 0, "skipnet": blocks - 1, "dynconv": 2 * blocks}[family]


def test_the_papers_victims_are_there() -> None:
    assert {f"resnet{depth}-cifar10" for depth in (20, 32, 44, 56, 110)} <= set(CIFAR10)
    assert {f"skipnet{depth}-cifar10" for depth in (20, 38, 74, 110)} <= set(CIFAR10)
    assert {f"dynconv{depth}-cifar10" for depth in (8, 14, 20, 26, 32)} <= set(CIFAR10)
    adaptive = {f"{family}{depth}-imagenet" for family in ("skipnet", "dynconv") for depth in (18, 34, 50, 101)}
    assert adaptive | {f"resnet{depth}-imagenet" for depth in (18, 34, 50, 101)} == set(IMAGENET)


@pytest.mark.parametrize("name", [n for n in CIFAR10 if re.match("resnet|skipnet|dynconv", n) and "_2ee" not in n])
def test_cifar10_victims_run(name: str) -> None:
    victim = load_victim(name, "random")
    logits, decisions = hard_forward(victim, torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, 10)
    assert bool(logits.isfinite().all())
    assert len(decisions) == units(name)
    assert convolutions(victim.network) + 1 == family_and_depth(name)[1]


@pytest.mark.parametrize(("name", "n_units", "n_decisions"), [("evit6-cifar10", 3, 64), ("moe20-cifar10", 6, 3)])
def test_transformer_and_mixtures_for_cifar10(name: str, n_units: int, n_decisions: int) -> None:
    victim = load_victim(name, "random")
    logits, decisions = hard_forward(victim, torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, 10)
    assert [unit.shape for unit in decisions] == [(2, n_decisions)] * n_units
    depth = family_and_depth(name)[1]
    blocks = victim.network.blocks
    assert depth == (len(blocks) if name.startswith("evit") else 2 * len(blocks) + 2)


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_victims_fit_together(name: str) -> None:
    """On the meta device, where shapes are computed and numbers are not."""
    with torch.device("meta"):
        victim = resolve("victim", name, VICTIMS)().eval()
        logits, decisions = hard_forward(victim, torch.empty(2, 3, 224, 224))
    assert logits.shape == (2, 1000)
    assert len(decisions) == units(name)
    assert convolutions(victim.network) + 1 == family_and_depth(name)[1]


def test_masks_of_a_bottleneck_are_dilated_at_the_inputs_resolution() -> None:
    with torch.device("meta"):
        victim = resolve("victim", "dynconv50-imagenet", VICTIMS)().eval()
        shapes = [tuple(mask.shape[-2:]) for mask in architecture(victim, torch.empty(1, 3, 224, 224))]
    assert shapes[:2] == [(56, 56), (56, 56)]
    assert shapes[6:8] == [(28, 28), (56, 56)], "the first block of the second group halves the resolution"


@pytest.mark.parametrize("name", [name for name in victim_names() if name not in CIFAR10 + IMAGENET])
def test_other_victims_resolve(name: str) -> None:
    assert callable(resolve("victim", name, VICTIMS))


def test_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"skpnet110-cifar10.*did you mean.*skipnet110-cifar10"):
        load_victim("skpnet110-cifar10")


def test_own_class_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="NoSuchNetwork"):
        load_victim("torch.nn:NoSuchNetwork")


@pytest.mark.parametrize(
    ("name", "message"),
    [("torch.nn:Linear", "missing a required argument: 'in_features'"), ("torch:pi", "not a callable object")],
)
def test_own_class_that_cannot_be_called(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"victim '{name}' cannot be called without arguments: .*{message}"):
        load_victim(name)


def test_own_class_with_arguments() -> None:
    sizes = {"in_features": 4, "out_features": 2}
    assert load_victim("torch.nn:Linear", kwargs=sizes).network.weight.shape == (2, 4)
    with pytest.raises(ConfigError, match="called with in_features: missing a required argument: 'out_features'"):
        load_victim("torch.nn:Linear", kwargs={"in_features": 4})


def test_a_name_without_a_module() -> None:
    with pytest.raises(UnknownNameError, match="':Net'"):
        load_victim(":Net")


def test_a_module_that_fails_is_not_said_to_lack_the_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_networks.py").write_text("import torch\n\ntorch.no_such_layer\n\nclass Net: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"cannot import 'failing_networks': .*no_such_layer"):
        load_victim("failing_networks:Net")


def test_own_name_that_is_no_network() -> None:
    with pytest.raises(ConfigError, match=r"nn\.Module"):
        load_victim("collections:OrderedDict")
