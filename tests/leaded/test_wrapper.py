"""Leaded: a module whose plain forward pass is leaded."""

import pickle
import warnings

import pytest
import torch
from gated import Gated, gradient, points

from lgm_bench import FGM, LGM, Leaded, Soft, StraightThrough
from lgm_bench.leaded import GradientMethod


@pytest.mark.parametrize("method", [FGM(), LGM(2.0), StraightThrough(2.0)], ids=repr)
def test_output_and_gradient_are_the_methods(method) -> None:
    network = Gated()
    with method.applied_to(network):
        output, expected = network(points()), gradient(network, points())
    wrapped = Leaded(network, method)
    assert torch.equal(wrapped(points()), output)
    assert torch.equal(gradient(wrapped, points()), expected)


def test_the_victim_itself_stays_hard() -> None:
    network = Gated()
    hard = network(points())
    wrapped = Leaded(network, LGM(0.5))
    assert not torch.equal(wrapped(points()), hard)
    assert torch.equal(network(points()), hard)
    with pytest.raises(TypeError):
        wrapped("no tensor")
    assert isinstance(network.first.gradient, FGM)


def test_the_wrappers_method_wins_over_one_outside() -> None:
    network = Gated()
    expected = Leaded(network, LGM(0.5))(points())
    with FGM().applied_to(network):
        assert torch.equal(Leaded(network, LGM(0.5))(points()), expected)
        assert torch.equal(network(points()), Gated()(points()))


def test_two_wrappers_share_one_victim() -> None:
    network = Gated()
    soft, hard = Leaded(network, LGM(0.5)), Leaded(network, FGM())
    assert torch.equal(hard(points()), network(points()))
    assert not torch.equal(soft(points()), hard(points()))


def test_it_is_a_module_like_any_other() -> None:
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(1), Gated())
    wrapped = Leaded(network, LGM(0.5)).eval()
    assert not network.training
    assert wrapped.train().training
    assert network.training
    assert {id(p) for p in wrapped.parameters()} == {id(p) for p in network.parameters()}
    assert next(wrapped.double().parameters()).dtype == torch.float64
    x = points()[:, None]
    restored = pickle.loads(pickle.dumps(wrapped.eval()))
    assert torch.equal(restored(x), wrapped(x))


@pytest.mark.parametrize(
    ("method", "warned"), [(LGM(0.5), True), (Soft(0.5), True), (StraightThrough(2.0), False), (FGM(), False)], ids=repr
)
def test_predictions_of_a_soft_network_are_warned_of_once(method: GradientMethod, warned: bool) -> None:
    wrapped = Leaded(Gated(), method)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient(wrapped, points())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            wrapped(points())
    assert ["judge attacks on the network" in str(warning.message) for warning in caught] == [True] * warned


def test_measuring_slopes_is_no_prediction() -> None:
    wrapped = Leaded(Gated(), LGM("auto"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped(points())
