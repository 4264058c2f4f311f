"""What `check` says of networks that are in order, and of each thing that can be wrong."""

import pytest
import torch
from gated import Gated
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import lgm_bench
from lgm_bench import Occupancy
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import Controls, NetworkCheck
from victims import load_victim


class Net(nn.Module):
    """A gated linear layer for images of one row, with one thing wrong at a time."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.wrong, self.gate, self.layer, self.head = wrong, Occupancy(), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:  # (B, 4)
        score = x.mean(dim=1, keepdim=True) - (9 if self.wrong == "constant" else 0.5)
        score = score.detach() if self.wrong == "detached" else score
        occupancy = self.gate(score)
        if self.wrong == "branch":
            return self.head(torch.where(occupancy > 0, self.layer(x), x))
        kept = 1 if self.wrong == "one side" else 1 - occupancy
        used = (score > 0.1) if self.wrong == "rule" else occupancy
        return self.head(used * self.layer(x) + (kept * x if self.wrong != "rule" else 0 * occupancy))

    def controls(self) -> Controls:
        return Controls({"gate": ["layer", "layer"] * 4 if self.wrong == "twice" else ["layer"]})


def checked(wrong: str = "") -> NetworkCheck:
    torch.manual_seed(1)
    images = torch.rand(8, 4)
    return lgm_bench.check(Net(wrong).eval(), images)


def test_a_network_in_order() -> None:
    found = checked()
    (unit,) = found.units
    assert found.problems == ()
    assert (unit.name, unit.kind, unit.decisions, unit.cost) == ("gate", "Occupancy", 1, 16)
    assert 0 < unit.on < 1
    assert unit.varies
    assert unit.gradient_reaches
    assert unit.slope == pytest.approx(20 / unit.margin, rel=1e-2)
    assert found.soft_limit < 1e-6
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Net().eval()(torch.rand(1, 4))
    assert found.costs.full == counter.get_total_flops() / 2
    text = str(found)
    assert "gate  Occupancy  1" in text
    assert "no problem found" in text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("branch", "the gradient does not reach the scores of gate: multiply"),
        ("detached", "the scores of gate do not depend on the images through anything differentiable"),
        ("constant", "no decision depends on the images"),
        ("twice", "some are listed twice in controls"),
    ],
)
def test_what_is_wrong_is_said(wrong: str, message: str) -> None:
    found = checked(wrong)
    assert len(found.problems) == 1
    assert message in found.problems[0]
    assert f"problem: {found.problems[0]}" in str(found)


def test_a_soft_network_that_is_another_one() -> None:
    class Rounded(Net):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                other = self.gate.slope < 1e10  # a network that behaves otherwise as soon as it is soft
            return super().forward(x) * (1.5 if other else 1)

    found = lgm_bench.check(Rounded().eval(), torch.rand(8, 4))
    assert "the soft network's output differs from the hard one's by 50.0%" in found.problems[0]


def test_no_gate_is_said_clearly() -> None:
    found = lgm_bench.check(nn.Linear(4, 3).eval(), torch.rand(2, 4))
    assert found.units == ()
    assert "no gate was found, so every gradient method is the plain gradient" in str(found)


def test_what_cannot_be_checked() -> None:
    with pytest.raises(ConfigError, match="training mode"):
        lgm_bench.check(Net(), torch.rand(2, 4))
    with pytest.raises(ConfigError, match="gave no logits"):
        lgm_bench.check(Gated().eval(), torch.rand(2))


@pytest.mark.parametrize("name", ["skipnet14-mini", "dynconv8-mini", "resnet8_2ee-cifar10"])
def test_victims_of_the_package(name: str) -> None:
    victim = load_victim(name, "random" if "2ee" in name else None)
    if "2ee" in name:
        victim.network.settle([torch.rand(8, 3, 32, 32)])
    found = lgm_bench.check(victim, torch.rand(6, 3, 32, 32))
    assert [problem for problem in found.problems if "no decision depends" not in problem] == []
    assert all(unit.gradient_reaches == unit.used for unit in found.units)
    assert all(unit.cost > 0 for unit in found.units)
