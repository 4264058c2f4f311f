"""Recording: what the hard network decides, and every use of a unit."""

import pytest
import torch
from gated import Gated, points
from torch import Tensor, nn

from lgm_bench import LGM, Occupancy, architecture
from lgm_bench.leaded import hard_forward, recorded_calls
from lgm_bench.voxels import PointCloud


def expected() -> list[list[bool]]:
    decisions = [(x > 1, (x * x if x > 1 else x) >= 0.5) for x in points().tolist()]
    return [list(unit) for unit in zip(*decisions, strict=True)]


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


def test_architecture_is_that_of_the_hard_network() -> None:
    network = Gated()
    assert [unit.tolist() for unit in architecture(network, points())] == expected()
    with LGM(0.1).applied_to(network):  # soft: h, and with it the second decision, would be another one
        assert [unit.tolist() for unit in architecture(network, points())] == expected()
        assert isinstance(network.first.gradient, LGM), "and the method in force goes on"
    assert all(unit.dtype == torch.bool for unit in architecture(network, points()))


def test_hard_forward_gives_the_output_too() -> None:
    network, x = Gated(), points().requires_grad_()
    with LGM(0.1).applied_to(network):
        output, decisions = hard_forward(network, x)
        assert not torch.equal(network(points()), output)
    assert torch.equal(output, Gated()(points()))
    assert not output.requires_grad
    assert [unit.tolist() for unit in decisions] == expected()


def test_networks_without_units_have_no_architecture() -> None:
    assert architecture(nn.Flatten(), torch.zeros(2, 3)) == []


def test_a_unit_used_twice_is_recorded_twice_in_call_order() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unit = Occupancy()

        def forward(self, x: Tensor) -> Tensor:
            return self.unit(x) + self.unit(-x)

    first, second = architecture(Twice(), torch.tensor([1.0, -2.0]))
    assert (first.tolist(), second.tolist()) == ([True, False], [False, True])


def test_calls_are_attached_to_the_graph() -> None:
    network, x = Gated(), points().requires_grad_()
    with LGM(2.0).applied_to(network), recorded_calls(network) as calls:
        network(x)
    assert [call.unit for call in calls] == [network.first, network.second]
    assert torch.equal(calls[0].score, points() - 1)
    assert torch.equal(calls[0].occupancy, torch.sigmoid(2 * (points() - 1)))
    (gradient,) = torch.autograd.grad(calls[0].occupancy.sum(), x)
    assert bool((gradient > 0).all())


def test_recordings_nest_and_end() -> None:
    network = Gated()
    with recorded_calls(network) as outer:
        network(points())
        with recorded_calls(network) as inner:
            network(points())
        assert len(architecture(network, points())) == 2
    network(points())
    assert (len(outer), len(inner)) == (6, 2)
    assert hooks(network) == 0


def test_recording_ends_with_an_exception() -> None:
    network = Gated()
    with pytest.raises(TypeError):
        architecture(network, "no tensor")
    with pytest.raises(RuntimeError, match="stop"), recorded_calls(network):
        raise RuntimeError("stop")
    assert hooks(network) == 0


def test_other_networks_are_not_recorded() -> None:
    network, other = Gated(), Gated()
    with recorded_calls(network) as calls:
        other(points())
    assert calls == []


class InPlace(nn.Module):
    """Normalizes its input in place, as some networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = Occupancy()

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(x.sub_(0.5).mul_(2))


def test_a_network_that_normalizes_in_place_gets_images_of_its_own() -> None:
    x = torch.tensor([0.2, 0.9])
    assert [unit.tolist() for unit in architecture(InPlace(), x)] == [[False, True]]
    assert hard_forward(InPlace(), x)[0].tolist() == [0, 1]
    assert x.tolist() == pytest.approx([0.2, 0.9])


def test_images_made_under_inference_mode() -> None:
    with torch.inference_mode():
        x = torch.tensor([0.2, 0.9])
    linear = nn.Sequential(nn.Linear(2, 2), InPlace())
    for network in (linear, InPlace()):
        assert len(architecture(network, x)) == 1
        with torch.inference_mode():
            assert len(architecture(network, x)) == 1
    assert x.tolist() == pytest.approx([0.2, 0.9])


def test_point_clouds_are_copied_field_by_field() -> None:
    class Moving(nn.Module):
        def forward(self, cloud: PointCloud) -> Tensor:
            return cloud.points.add_(1)

    cloud = PointCloud(torch.zeros(2, 3), torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64))
    assert (hard_forward(Moving(), cloud)[0] == 1).all()
    assert (cloud.points == 0).all()
