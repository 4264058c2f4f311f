"""What decisions cost, against passes that really skip and PyTorch's own count."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from datamodules import load_datamodule
from lgm_bench import LGM, Choice, Halting, Occupancy, TopK
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import recorded_calls
from lgm_bench.leaded.compute import Controls, Tokens, decision_costs
from lgm_bench.leaded.recording import hard_units
from victims import load_victim
from victims.folding import folded


def multiply_adds(run, images: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(images)
    return counter.get_total_flops() / 2


def undecided(name: str) -> nn.Module:
    """A network with random weights, whose gates are shifted so that they decide by the image."""
    network = load_victim(name, "random", seed=3).network
    if hasattr(network, "settle"):
        network.settle([squares(8, seed=0)])
    with torch.no_grad():
        for key, module in network.named_modules():
            if key.endswith(("maskconv.fc", "gate0.1")):
                module.weight.mul_(30)
                module.bias.zero_()
            if key == "control":
                control = module
        if name.startswith("skipnet"):
            with recorded_calls(network) as calls:
                network(squares(14, seed=1))
            control.proj.bias.sub_(calls[0].score.median())
    return network


def squares(n: int, seed: int) -> Tensor:
    """Images of squares of 8 x 8 pixels: the means of plain noise would be the same in all images."""
    colours = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(colours, scale_factor=8)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize(
    "name", ["skipnet20-cifar10", "dynconv14-cifar10", "resnet8_2ee-cifar10", "rdi_resnet38-cifar10", "skipnet14-mini"]
)
def test_what_an_image_costs_is_what_a_network_that_skips_computes(name: str, fold: bool) -> None:
    network = undecided(name)
    network = folded(network) if fold else network
    images = squares(14, seed=1)
    costs = decision_costs(network, images[:1])
    logits, decisions = hard_units(network, images)
    found = costs.of(decisions)
    assert torch.allclose(network.deployed(images), logits, atol=1e-4, rtol=1e-4)
    expected = [multiply_adds(network.deployed, image[None]) for image in images]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)
    assert len(set(expected)) > 1
    assert costs.fixed <= min(expected)
    assert max(expected) <= costs.full


def test_bottlenecks_of_imagenet() -> None:
    for name in ("skipnet50-imagenet", "dynconv50-imagenet"):
        network = load_victim(name, "random").network
        image = torch.rand(1, 3, 64, 64)
        costs = decision_costs(network, image)
        logits, decisions = hard_units(network, image)
        assert costs.of(decisions).tolist() == pytest.approx([multiply_adds(network.deployed, image)], rel=1e-9)
        assert torch.allclose(network.deployed(image), logits, atol=1e-3, rtol=1e-3)


def test_the_published_cost_of_leaving_at_each_exit() -> None:
    """The authors count the trunk and the branch that answers, not those on the way, in units of 2^20."""
    network, image = load_victim("rdi_resnet38-cifar10", "random").network, torch.rand(1, 3, 32, 32)
    costs = decision_costs(network, image)
    inputs: list[Tensor] = []
    for _, name in network.stages:
        network.get_submodule(name).register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    network(image)
    branches = [
        multiply_adds(network.get_submodule(name), x) for (_, name), x in zip(network.stages, inputs[:7], strict=True)
    ]
    stages = [costs.fixed, *costs.decisions["exit"].tolist()]
    trunk = torch.tensor([stage - branch for stage, branch in zip(stages, branches, strict=True)]).cumsum(0)
    published = ((trunk + torch.tensor(branches)) / 2**20).tolist()
    assert published == pytest.approx([16.79, 30.29, 36.54, 50.04, 61.42, 74.92, 79.42], abs=0.01)
    taken = [829, 1086, 1194, 2252, 1531, 1643, 1465]
    average = sum(cost * n for cost, n in zip(published, taken, strict=True)) / 10_000
    assert average == pytest.approx(53.66, abs=0.01)


MINIATURES = ["channelgate8-mini", "moe14-mini", "evit4-mini", "avit4-mini", "earlyexit8-mini"]


@pytest.mark.parametrize("name", MINIATURES)
def test_the_same_of_trained_miniatures(name: str) -> None:
    victim, data = load_victim(name), load_datamodule("digits", batch_size=20)
    data.setup("test")
    network, images = victim.network, (next(iter(data.test_dataloader())).images - victim.mean) / victim.std
    costs = decision_costs(network, images[:1])
    logits, decisions = hard_units(network, images)
    assert torch.allclose(network.deployed(images), logits, atol=1e-4, rtol=1e-4)
    expected = [multiply_adds(network.deployed, image[None]) for image in images]
    assert costs.of(decisions).tolist() == pytest.approx(expected, rel=1e-9)
    assert len(set(expected)) > 1 or name == "evit4-mini"  # which keeps the same number of tokens of every image


def test_tokens_cost_as_much_as_attention_among_them() -> None:
    """With one token beside: 5 linear units a token, 3 a pair."""
    network = nn.ModuleDict({"gate": Occupancy(), "each": nn.Linear(1, 5), "pairs": Pairs(3)})
    network.forward = lambda x: [network["gate"](x), network["each"](x.new_ones(1, 5, 1)), network["pairs"](5)]
    network.controls = lambda: Controls({"gate": Tokens(["each"], ["pairs"], beside=1)})
    costs = decision_costs(network, torch.ones(1, 4))
    kept = torch.tensor([[1.0, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0], [0.5, 0, 0, 0]])
    expected = [5 * n + 3 * n**2 for n in (5, 3, 1, 1.5)]
    assert costs.of({"gate": kept}).tolist() == pytest.approx(expected)
    assert (costs.fixed, costs.full) == pytest.approx((8, 100))


class Pairs(nn.Module):
    """A product of matrices that costs some multiply-adds for each pair of tokens."""

    def __init__(self, cost: int) -> None:
        super().__init__()
        self.cost = cost

    def forward(self, n: int) -> Tensor:
        return torch.ones(n, self.cost) @ torch.ones(self.cost, n)


class Experts(nn.Module):
    """Every kind of gate that has no published network here."""

    def __init__(self) -> None:
        super().__init__()
        self.choice, self.tokens, self.halting, self.open = Choice(), TopK(2), Halting(), Occupancy()
        self.experts = nn.ModuleList([nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4))])
        self.mlp, self.steps, self.free = (
            nn.Linear(4, 4),
            nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]),
            Occupancy(),
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, 5, 4)
        chosen = self.choice(x[:, 0, :2])
        x = sum(chosen[:, k, None, None] * expert(x) for k, expert in enumerate(self.experts))
        x = x + self.tokens(x[..., 0])[..., None] * self.mlp(x)
        total = running = torch.ones_like(x[:, 0, 0])
        for step in self.steps:
            total = total + x[:, 0, 1].sigmoid() / 4 - 0.9
            running = self.halting(total, running)
            x = x + running[:, None, None] * step(x)
        return x * self.open(x[:, :1, :1] + 9) * self.free(x[:, :1, :1])

    def controls(self) -> Controls:
        gates = {"choice": [[f"experts.{k}"] for k in range(2)], "tokens": ["mlp"]}
        return Controls(gates | {"halting": [["steps.0"], ["steps.1"]], "open": ["steps"]})


def test_costs_of_the_other_gates() -> None:
    network, x = Experts(), torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(2))
    costs = decision_costs(network, x[:1])
    assert {name: cost.flatten().tolist() for name, cost in costs.decisions.items()} == {
        "choice": [5 * 16, 5 * 64],
        "tokens": [16],
        "halting": [5 * 16],
        "halting#2": [5 * 16],
        "open": [0],
    }
    assert (costs.fixed, costs.full) == (0, 5 * (16 + 64 + 16 + 16 + 16))
    _, decisions = hard_units(network, x)
    by_hand = [
        5 * (64 if chosen else 16) + 2 * 16 + 5 * 16 * steps
        for chosen, steps in zip(
            decisions["choice"][:, 1].tolist(),
            (decisions["halting"].int() + decisions["halting#2"].int()).tolist(),
            strict=True,
        )
    ]
    assert costs.of(decisions).tolist() == by_hand


def test_the_leaded_compute_has_a_gradient() -> None:
    network = undecided("resnet8_2ee-cifar10")
    image = torch.rand(2, 3, 32, 32, requires_grad=True)
    costs = decision_costs(network, image.detach()[:1])
    with LGM(5.0).applied_to(network), recorded_calls(network) as calls:
        network(image)
    leaded = costs.of({call.name: call.executed for call in calls})
    assert bool(((leaded > costs.fixed) & (leaded < costs.full)).all())
    (gradient,) = torch.autograd.grad(leaded.sum(), image)
    assert bool((gradient.flatten(1).abs().amax(1) > 0).all())


def test_a_network_that_does_not_say_what_it_controls() -> None:
    assert decision_costs(nn.Linear(3, 3), torch.rand(1, 3)) is None


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"choice": ["experts.7"]}, "names 'experts.7', which is no module of this Experts"),
        ({"tokens": [["mlp"], ["mlp"]]}, "lists 2 groups of modules"),
        ({"router": ["mlp"]}, "names 'router', which is no module"),
        ({"mlp": ["mlp"]}, "names 'mlp' as a gate, which is a Linear"),
    ],
)
def test_controls_that_do_not_fit(gates, message: str) -> None:
    network = Experts()
    network.controls = lambda: Controls(gates)
    with pytest.raises(ConfigError, match=message):
        decision_costs(network, torch.randn(1, 5, 4))
