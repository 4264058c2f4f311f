"""Early-exit networks: published weights against the authors' own logits, thresholds, what a deployed network skips."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.datasets import CIFAR10

from lgm_bench import LGM, architecture
from lgm_bench.errors import CheckpointError, ConfigError
from lgm_bench.leaded import decision_costs, recorded_calls
from victims import import_checkpoint, load_victim
from victims.early_exit import EarlyExit
from victims.folding import folded

FILES = {"rdi_resnet38": "rdi_resnet38-cifar10.pth.tar", "resnet8_2ee": "resnet8_2ee-cifar10.pth"}
OWN = {"rdi_resnet38": [0.1, 0.3, 0.5, 0.7, 0.9, 1.1], "resnet8_2ee": [0.6]}


@pytest.fixture(scope="module")
def data(samples: Path) -> tuple[Tensor, Tensor]:
    data = CIFAR10(samples / "data" / "cifar10", train=False)
    pixels = torch.from_numpy(data.data).permute(0, 3, 1, 2)
    return pixels, torch.tensor(data.targets)


def published(name: str, samples: Path, **kwargs: object) -> EarlyExit:
    network = load_victim(f"{name}-cifar10", samples / "weights" / FILES[name], kwargs=kwargs).network
    assert isinstance(network, EarlyExit)
    return network


def random_network(name: str, **kwargs: object) -> EarlyExit:
    network = load_victim(f"{name}-cifar10", "random", kwargs=kwargs).network
    assert isinstance(network, EarlyExit)
    return network


@torch.no_grad()
@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_logits_of_every_exit_are_those_of_the_released_code(name: str, fold: bool, samples: Path, data) -> None:
    golden = np.load(samples / "golden" / "early_exit.npz")
    network = published(name, samples)
    if fold:
        network = folded(network)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    logits = network.all_exits(data[0][golden["images"]].float() / 255)
    assert np.abs(logits.numpy() - golden[name]).max() < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("name", FILES)
def test_the_first_confident_exit_answers(name: str, samples: Path, data) -> None:
    """Image by image, with the rules as the publications state them."""
    network, images = published(name, samples), data[0][:40].float() / 255
    answers = []
    for exits in network.all_exits(images):
        p = exits.softmax(dim=1)
        entropy, largest = -(p * (p + 1e-5).log()).sum(1), p.max(dim=1).values
        sure = [
            bool(entropy[k] < t if name == "rdi_resnet38" else largest[k] > t) for k, t in enumerate(network.thresholds)
        ]
        answers.append(exits[sure.index(True) if True in sure else -1])
    assert torch.equal(network(images), torch.stack(answers))
    assert torch.allclose(network.deployed(images), torch.stack(answers), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("name", "least", "leaving"), [("rdi_resnet38", 0.78, 0.14), ("resnet8_2ee", 0.8, 0.57)])
def test_accuracy_and_exits_on_real_images(name: str, least: float, leaving: float, samples: Path, data) -> None:
    """On all 10,000 images 83.79 and 85.74 % are right; of resnet8_2ee 57.08 % leave early, of RDI 8.29 % at once."""
    network, images = published(name, samples), data[0][:300].float() / 255
    with recorded_calls(network) as calls:
        right = (network(images).argmax(1) == data[1][:300]).float().mean().item()
    assert right > least
    share = calls[0].occupancy[:, 0].mean().item()
    assert share == pytest.approx(leaving, abs=0.08)


@pytest.mark.parametrize("name", FILES)
def test_the_store_takes_the_published_file(name: str, samples: Path, store: Path) -> None:
    import_checkpoint(f"{name}-cifar10", samples / "weights" / FILES[name])
    images = torch.rand(4, 3, 32, 32)
    assert torch.equal(load_victim(f"{name}-cifar10").network(images), published(name, samples)(images))


@pytest.mark.parametrize("name", FILES)
def test_a_deployed_network_computes_no_stage_after_the_answer(name: str) -> None:
    network, images = random_network(name), torch.rand(14, 3, 32, 32)
    network.settle([images])
    seen: list[int] = []
    for _, branch in network.stages:
        network.get_submodule(branch).register_forward_hook(lambda _, __, out: seen.append(len(out)))
    answers = network.deployed(images)
    executed = architecture(network, images)[0].sum(dim=0).tolist()
    assert seen[: len(network.stages)][1:] == [count for count in executed if count]
    assert len(set(seen)) > 1
    assert torch.allclose(network(images), answers, atol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_quantiles_let_each_exit_answer_the_same_share(name: str) -> None:
    network, batches = random_network(name, thresholds="quantile"), torch.rand(40, 3, 32, 32).split(15)
    with pytest.raises(ConfigError, match="held-out training images"):
        network(batches[0])
    network.settle(batches)
    with recorded_calls(network) as calls:
        for images in batches:
            network(images)
    taken = torch.cat([call.occupancy for call in calls]).sum(dim=0).tolist()
    exits = len(network.stages)
    assert taken == [40 // exits] * (exits - 1) + [40 - 40 // exits * (exits - 1)]


def test_thresholds_are_settings() -> None:
    for name, numbers in OWN.items():
        assert random_network(name, thresholds=numbers).thresholds == tuple(numbers)
        assert random_network(name).thresholds == type(random_network(name)).released
    for wrong in ("best", [0.5]):
        with pytest.raises(ConfigError, match="thresholds must be"):
            random_network("rdi_resnet38", thresholds=wrong)


def test_the_leaded_gradient_passes_through_the_choice_of_the_exit() -> None:
    network, images = random_network("resnet8_2ee").double(), torch.rand(1, 3, 32, 32, dtype=torch.float64)
    direction = torch.randn_like(images)

    def along(step: Tensor) -> Tensor:
        with LGM(5.0).applied_to(network):
            return network(images + step * direction)[:, :3]

    assert torch.autograd.gradcheck(along, torch.zeros(1, dtype=torch.float64, requires_grad=True), atol=1e-6)


def test_a_cascade_of_published_networks(samples: Path, store: Path, data) -> None:
    """The smallest network answers where it is confident, and else the next one, with the weights of each."""
    with pytest.raises(CheckpointError, match="lgm-bench import cascade-cifar10"):
        load_victim("cascade-cifar10", samples / "weights")
    import_checkpoint("cascade-cifar10", samples / "weights")
    victim, images = load_victim("cascade-cifar10"), data[0][:40].float() / 255
    files = {20: "resnet20-12fca82f.th", 32: "resnet32-d509ac18.th", 56: "resnet56-4bfd9763.th"}
    networks = [load_victim(f"resnet{depth}-cifar10", samples / "weights" / file) for depth, file in files.items()]
    expected, taken = [], []
    with torch.no_grad():
        for image in images:
            every = [network(image[None])[0] for network in networks]
            sure = [bool(logits.softmax(0).max() > 0.9) for logits in every[:-1]] + [True]
            taken.append(sure.index(True))
            expected.append(every[taken[-1]])
        assert torch.allclose(victim(images), torch.stack(expected), atol=1e-4)
        with pytest.raises(CheckpointError, match=r"must hold one file resnet20-\*.th, found none"):
            import_checkpoint("cascade-cifar10", store)
    executed = architecture(victim, images)[0].sum(dim=1).tolist()
    assert executed == taken
    assert len(set(taken)) > 1
    costs = decision_costs(victim, images[:1])
    own = [costs.fixed, *costs.decisions["network.exit"].tolist()]
    assert [round(cost / 1e6) for cost in own] == [41, 69, 125], "millions of multiply-adds of the three networks"
