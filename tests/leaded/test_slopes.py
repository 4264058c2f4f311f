"""Automatic slopes: from the spread of each unit's margins, whatever their scale, and from clean inputs alone."""

import pickle

import pytest
import torch
from gated import Gated, gradient, points
from torch import Tensor, nn

from lgm_bench import FGM, LGM, Exit, Leaded, Occupancy, Soft, StraightThrough
from lgm_bench.attacks import BIM, FGSM
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import automatic_slopes, calibrated, recorded_calls
from lgm_bench.leaded.slopes import MANY_STEPS, MANY_STEPS_OF_EXITS, ONE_STEP
from victims import load_victim


def rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def test_a_units_slope_is_the_constant_over_the_rms_of_its_margins() -> None:
    network = Gated()
    with recorded_calls(network) as calls:
        network(points())
    found = automatic_slopes(network, points(), 3.0)
    assert found == {
        "first": pytest.approx(3.0 / rms(calls[0].score), rel=5e-3),
        "second": pytest.approx(3.0 / rms(calls[1].score), rel=5e-3),
    }
    assert found == {name: float(f"{slope:.3g}") for name, slope in found.items()}, "three digits, to be written down"


def test_in_a_soft_network_each_unit_has_its_own_slope() -> None:
    network = Gated()
    method = LGM({"first": 2.0, "second": 7.0})
    with LGM(2.0).applied_to(network.first), LGM(7.0).applied_to(network.second):
        expected = network(points())
    with method.applied_to(network):
        assert torch.equal(network(points()), expected)
        assert (network.first.slope, network.second.slope) == (2.0, 7.0)
    assert torch.equal(Leaded(network, pickle.loads(pickle.dumps(method)))(points()), expected)


class Scaled(nn.Module):
    """A network whose scores are in another unit, which changes nothing of what it decides."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale, self.gate, self.unused = scale, Occupancy(), Occupancy()

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.scale * (x - 1)) * x**2


def test_the_scale_of_scores_does_not_matter() -> None:
    found = []
    for scale in (1e-4, 1.0, 1e4):
        network = Scaled(scale)
        with calibrated(LGM("auto"), network, points()).applied_to(network):
            found.append(gradient(network, points()))
    assert torch.allclose(found[0], found[1], rtol=2e-2)
    assert torch.allclose(found[2], found[1], rtol=2e-2)


def test_units_without_margins_get_a_usual_slope() -> None:
    found = automatic_slopes(Scaled(5.0), points(), 1.0)
    assert found["unused"] == found["gate"]
    zero = automatic_slopes(Scaled(0.0), points(), 4.0)
    assert zero == {"gate": 4.0, "unused": 4.0}
    with_nan = automatic_slopes(Scaled(1.0), torch.cat([points(), points().new_tensor([torch.nan, torch.inf])]), 1.0)
    assert with_nan == automatic_slopes(Scaled(1.0), points(), 1.0)


def test_one_step_and_several_have_constants_of_their_own() -> None:
    network = Gated()
    one, several = (calibrated(LGM("auto"), network, points(), steps=steps).slope for steps in (1, 2))
    assert several == calibrated(LGM("auto"), network, points()).slope
    for name in ("first", "second"):
        assert several[name] / one[name] == pytest.approx(MANY_STEPS / ONE_STEP, rel=1e-2)


def test_exits_have_a_constant_of_their_own_for_several_steps() -> None:
    class TwoExits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.exit, self.gate = Exit([0.5]), Occupancy()

        def forward(self, x: Tensor) -> Tensor:
            return self.exit(x[:, None]).sum(dim=1) * self.gate(x)

    network, x = TwoExits(), points()
    several, one = automatic_slopes(network, x), calibrated(LGM("auto"), network, x, steps=1).slope
    spreads = {"exit": rms(x - 0.5), "gate": rms(x)}
    for found, constants in ((several, (MANY_STEPS_OF_EXITS, MANY_STEPS)), (one, (ONE_STEP, ONE_STEP))):
        for (name, spread), constant in zip(spreads.items(), constants, strict=True):
            assert found[name] == pytest.approx(constant / spread, rel=5e-3)


def test_slopes_that_are_given_stay() -> None:
    for method in (FGM(), LGM(2.0), LGM({"first": 1.0, "second": 1.0})):
        assert calibrated(method, Gated(), points()) is method
    asked = LGM("auto")
    calibrated(asked, Gated(), points())
    assert asked.slope == "auto", "the method that was asked for can be used for another network"


@pytest.mark.parametrize("kind", [LGM, Soft, StraightThrough])
def test_auto_is_the_default_and_says_what_it_needs(kind) -> None:
    network = Gated()
    with pytest.raises(ConfigError, match=r"unit 'first' has no slope yet.*calibrated"), kind().applied_to(network):
        pass
    with pytest.raises(ConfigError, match="unit 'second' has no slope yet"), kind({"first": 1.0}).applied_to(network):
        pass
    assert repr(kind()) == f"{kind.__name__}(slope='auto')"


@pytest.mark.parametrize("slope", ["steep", {"first": -1.0}, {"first": "auto"}, None])
def test_senseless_slopes(slope) -> None:
    with pytest.raises(ConfigError, match="slope must be a positive number or 'auto'"):
        LGM(slope)


def test_leaded_measures_once_on_its_first_inputs() -> None:
    network = Gated()
    wrapped = Leaded(network, LGM("auto"))
    expected = Leaded(network, calibrated(LGM("auto"), network, points()))
    assert torch.equal(wrapped(points()), expected(points()))
    assert torch.equal(wrapped(points() + 3), expected(points() + 3))
    with pytest.raises(ConfigError, match="found no adaptive unit"):
        Leaded(nn.Linear(1, 1), LGM())


def test_attacks_measure_on_the_clean_batch() -> None:
    victim = load_victim("dynconv8-mini").eval()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2])
    for attack in (FGSM(4 / 255), BIM(4 / 255, steps=3)):
        auto = attack.perturb(victim, images, labels, gradient=LGM("auto"))
        slopes = automatic_slopes(victim, images, ONE_STEP if attack.steps == 1 else MANY_STEPS)
        assert torch.equal(auto, attack.perturb(victim, images, labels, gradient=LGM(slopes)))
        assert not torch.equal(auto, attack.perturb(victim, images, labels, gradient=LGM(1e-4)))
    assert all(isinstance(unit.gradient, FGM) for unit in victim.modules() if isinstance(unit, Occupancy))


def test_every_block_of_skipnet_has_a_slope_of_its_own() -> None:
    victim = load_victim("skipnet14-mini").eval()
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with recorded_calls(victim) as calls:
        victim(images)
    assert len({call.unit for call in calls}) == len(calls) == 5
    slopes = automatic_slopes(victim, images, 1.0)
    assert list(slopes.values()) == [pytest.approx(1 / rms(call.score.detach()), rel=5e-3) for call in calls]
