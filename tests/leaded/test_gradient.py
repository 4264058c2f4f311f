"""Gradient methods applied to networks: which gradient follows, and that the switch always goes back."""

import pytest
import torch
from gated import Gated, gradient, points
from torch import Tensor, nn

from lgm_bench import FGM, LGM, Occupancy


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


def test_hard_lgm_is_the_chain_rule_at_the_hard_values() -> None:
    slope = 2.0
    network = Gated()
    hard = network(points())
    with LGM(slope, forward="hard").applied_to(network):
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
    with pytest.raises(RuntimeError, match=r"LGM\(slope=3, forward='soft'\)"), LGM(3.0).applied_to(network):
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
        with FGM().applied_to(network), LGM(2.0, "hard").applied_to(network.second):
            assert modes(network) == ["FGM()", "LGM(slope=2, forward='hard')"]
        assert modes(network) == ["LGM(slope=1, forward='soft')"] * 2
        with pytest.raises(ValueError, match="inner"), LGM(9.0).applied_to(network):
            raise ValueError("inner")
        assert modes(network) == ["LGM(slope=1, forward='soft')"] * 2
    assert modes(network) == ["FGM()"] * 2


def test_one_method_object_may_be_applied_twice() -> None:
    network, method = Gated(), LGM(1.0)
    with method.applied_to(network):
        with method.applied_to(network):
            pass
        assert modes(network) == ["LGM(slope=1, forward='soft')"] * 2
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


def test_a_network_without_units_is_left_alone() -> None:
    network = nn.Linear(2, 1)
    x = torch.randn(3, 2)
    with LGM(1.0).applied_to(network):
        leaded = gradient(network, x)
    assert torch.equal(leaded, gradient(network, x))


def test_parameters_get_no_gradient_unless_asked() -> None:
    network = nn.Sequential(nn.Linear(1, 1).double().requires_grad_(False), Gated())
    with LGM(1.0).applied_to(network):
        gradient(network, points()[:, None])
    assert all(parameter.grad is None for parameter in network.parameters())
