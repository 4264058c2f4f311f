"""Names resolve to networks of the promised depth."""

import pytest
from torch import nn

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.registry import resolve
from victims import load_victim, victim_names
from victims.names import VICTIMS


@pytest.mark.parametrize("name", victim_names())
def test_every_name_resolves(name: str) -> None:
    assert callable(resolve("victim", name, VICTIMS))


@pytest.mark.parametrize("name", [name for name in victim_names() if name.endswith("cifar10")])
def test_cifar_depth_counts_convolutions_and_head(name: str) -> None:
    """A 6n + 2 network has 6n + 1 3x3 convolutions and the head; score layers and shortcuts do not count."""
    network = load_victim(name, "random").network
    convs = [
        module
        for key, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and "maskconv" not in key
    ]
    depth = int("".join(filter(str.isdigit, name.removesuffix("-cifar10"))))
    assert len(convs) + 1 == depth


def test_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"skpnet110-cifar10.*did you mean.*skipnet110-cifar10"):
        load_victim("skpnet110-cifar10")


def test_own_class_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="NoSuchNetwork"):
        load_victim("torch.nn:NoSuchNetwork")


def test_own_name_that_is_no_network() -> None:
    with pytest.raises(ConfigError, match=r"nn\.Module"):
        load_victim("collections:OrderedDict")
