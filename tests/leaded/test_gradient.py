"""Gradient methods applied to networks: which gradient follows, and that the switch always goes back."""

import pytest
import torch
from gated import Gated, gradient, points
from torch import Tensor, nn

from lgm_bench import FGM, LGM, Occupancy, Soft, StraightThrough
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.leaded import GRADIENTS, GradientMethod, gradient_named


def soft_network(x: Tensor, slope: float) -> Tensor:
    """`Gated` with sigmoids in place of the decisions."""
    occupancy = torch.sigmoid(slope * (x - 1))
    h = occupancy * x**2 + (1 - occupancy) * x
    return torch.sigmoid(slope * (h - 0.5)) * (h - 2) ** 2 + h


def modes(network: Gated) -> list[str]:
    return [repr(network.first.gradient), repr(network.second.gradient)]


def test_fgm_follows_the_architecture_that_is() -> None:
    """d/dx with all decisions held: h' = 2x or 1, y' = h' * (2 (h - 2) + 1) or h'."""
    expected = []
    for x in points().tolist():
        h, slope_of_h = (x * x, 2 * x) if x > 1 else (x, 1.0)
        expected.append(slope_of_h * (2 * (h - 2) + 1) if h >= 0.5 else slope_of_h)
    assert gradient(Gated(), points()).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("slope", [0.5, 2.0, 10.0])
def test_soft_lgm_against_finite_differences(slope: float) -> None:
    network, step = Gated(), 1e-6
    with LGM(slope).applied_to(network):
        assert torch.allclose(network(points()), soft_network(points(), slope), rtol=1e-12)
        leaded = gradient(network, points())
        differences = (network(points() + step) - network(points() - step)) / (2 * step)
    assert torch.allclose(leaded, differences, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("slope", [0.5, 2.0, 10.0])
def test_soft_is_the_soft_network_with_its_occupancies_held(slope: float) -> None:
    """Its derivative is d/dx of h = o1 x^2 + (1 - o1) x and y = o2 (h - 2)^2 + h, where o1 and o2 are numbers."""
    network = Gated()
    with Soft(slope).applied_to(network):
        assert torch.equal(network(points()), soft_network(points(), slope))
        held = gradient(network, points())
    x = points()
    first = torch.sigmoid(slope * (x - 1))
    h = first * x**2 + (1 - first) * x
    second = torch.sigmoid(slope * (h - 0.5))
    expected = (first * 2 * x + 1 - first) * (second * 2 * (h - 2) + 1)
    assert torch.allclose(held, expected, rtol=1e-12)
    score = points().requires_grad_()
    with Soft(slope).applied_to(network.first):
        assert not network.first(score).requires_grad, "nothing flows through an occupancy itself"


class Halved(GradientMethod):
    """Soft occupancy with half the leaded gradient."""

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:  # noqa: ARG002
        return soft / 2 + soft.detach() / 2


class Open(GradientMethod):
    """Every gate is open; nothing needs to be softened for that."""

    softens = False

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:
        assert soft is hard
        return torch.ones_like(hard)


def test_a_users_method_composes_the_occupancies_of_every_unit() -> None:
    network = Gated()
    found = {}
    for method in (LGM(2.0), Soft(2.0), gradient_named(f"{__name__}:Halved", 2.0)):
        with method.applied_to(network.first):
            found[type(method).__name__] = gradient(network, points())
    between = (found["LGM"] + found["Soft"]) / 2
    assert torch.allclose(found["Halved"], between, rtol=1e-12), "one gate leads: its part is linear"
    assert not torch.allclose(found["LGM"], found["Soft"])
    x = points()
    with gradient_named(f"{__name__}:Open").applied_to(network):
        assert torch.equal(network(x), (x**2 - 2) ** 2 + x**2)


def test_methods_by_name() -> None:
    assert {name: repr(gradient_named(name, None if name == "fgm" else 2.0)) for name in GRADIENTS} == {
        "fgm": "FGM()",
        "lgm": "LGM(slope=2)",
        "soft": "Soft(slope=2)",
        "straight-through": "StraightThrough(slope=2)",
    }
    assert [gradient_named(name, None if name == "fgm" else 2.0).name for name in GRADIENTS] == list(GRADIENTS)
    with pytest.raises(UnknownNameError, match="did you mean straight-through"):
        gradient_named("straight", 2.0)
    with pytest.raises(ConfigError, match=r"gradient 'fgm' has no slope, got 2\.0; leave it out"):
        gradient_named("fgm", 2.0)
    assert gradient_named("soft").slope == "auto"
    with pytest.raises(ConfigError, match="'lgm_bench:Occupancy' is no class derived from"):
        gradient_named("lgm_bench:Occupancy", 2.0)


def test_straight_through_is_the_chain_rule_at_the_hard_values() -> None:
    slope = 2.0
    network = Gated()
    hard = network(points())
    with StraightThrough(slope).applied_to(network):
        assert torch.equal(network(points()), hard)
        straight_through = gradient(network, points())
    x = points()
    on = (x > 1).double()
    h = on * x**2 + (1 - on) * x
    first, second = torch.sigmoid(slope * (x - 1)), torch.sigmoid(slope * (h - 0.5))
    h_by_x = on * 2 * x + (1 - on) + slope * first * (1 - first) * (x**2 - x)
    y_by_h = (h >= 0.5) * 2 * (h - 2) + slope * second * (1 - second) * (h - 2) ** 2 + 1
    assert torch.allclose(straight_through, h_by_x * y_by_h, rtol=1e-12)


def test_steep_soft_lgm_approaches_the_hard_network() -> None:
    network = Gated()
    with LGM(1e4).applied_to(network):
        soft = network(points())
    assert torch.allclose(soft, network(points()), atol=1e-9)


def test_switch_is_restored_after_an_exception() -> None:
    network = Gated()
    with pytest.raises(RuntimeError, match=r"LGM\(slope=3\)"), LGM(3.0).applied_to(network):
        raise RuntimeError(modes(network)[0])
    assert modes(network) == ["FGM()"] * 2


def test_switch_is_restored_when_the_forward_pass_fails() -> None:
    network = Gated()
    with pytest.raises(TypeError), LGM(3.0).applied_to(network):
        network("no tensor")
    assert modes(network) == ["FGM()"] * 2


def test_blocks_nest() -> None:
    network = Gated()
    with LGM(1.0).applied_to(network):
        with FGM().applied_to(network), StraightThrough(2.0).applied_to(network.second):
            assert modes(network) == ["FGM()", "StraightThrough(slope=2)"]
        assert modes(network) == ["LGM(slope=1)"] * 2
        with pytest.raises(ValueError, match="inner"), LGM(9.0).applied_to(network):
            raise ValueError("inner")
        assert modes(network) == ["LGM(slope=1)"] * 2
    assert modes(network) == ["FGM()"] * 2


def test_one_method_object_may_be_applied_twice() -> None:
    network, method = Gated(), LGM(1.0)
    with method.applied_to(network):
        with method.applied_to(network):
            pass
        assert modes(network) == ["LGM(slope=1)"] * 2
    assert modes(network) == ["FGM()"] * 2


def test_other_victims_see_nothing() -> None:
    leaded, bystander = Gated(), Gated()
    before = gradient(bystander, points())
    with LGM(1.0).applied_to(leaded):
        assert modes(bystander) == ["FGM()"] * 2
        assert torch.equal(gradient(bystander, points()), before)
        assert not torch.equal(gradient(leaded, points()), before)
        assert modes(Gated()) == ["FGM()"] * 2, "nor do networks made meanwhile"


def test_the_gradient_of_an_earlier_forward_pass_stays_what_it_was() -> None:
    network = Gated()
    x = points().requires_grad_()
    with LGM(2.0).applied_to(network):
        output = network(x)
        expected = gradient(network, points())
    assert torch.equal(torch.autograd.grad(output.sum(), x)[0], expected)


def test_a_unit_that_is_shared_is_switched_and_restored_once() -> None:
    unit = Occupancy()
    network = nn.ModuleList([nn.Sequential(unit), nn.Sequential(unit)])
    with LGM(1.0).applied_to(network):
        assert isinstance(unit.gradient, LGM)
    assert isinstance(unit.gradient, FGM)


def test_a_network_without_units_has_the_plain_gradient_alone() -> None:
    network = nn.Linear(2, 1)
    x = torch.randn(3, 2)
    with FGM().applied_to(network):
        plain = gradient(network, x)
    assert torch.equal(plain, gradient(network, x))
    for method in (LGM(1.0), Soft(1.0), StraightThrough(1.0)):
        with pytest.raises(ConfigError, match=r"found no adaptive unit in Linear"), method.applied_to(network):
            pass


def test_parameters_get_no_gradient_unless_asked() -> None:
    network = nn.Sequential(nn.Linear(1, 1).double().requires_grad_(False), Gated())
    with LGM(1.0).applied_to(network):
        gradient(network, points()[:, None])
    assert all(parameter.grad is None for parameter in network.parameters())
