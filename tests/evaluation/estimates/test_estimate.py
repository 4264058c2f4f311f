"""Estimates of work: known networks' operations, the paper's Table VI, iterations, samples and shared cells."""

import pytest
import torch
from hand_made import altered, cell, flat_cell
from torch import nn

from lgm_bench.errors import UnknownNameError
from lgm_bench.evaluation.estimates.calibration import gflops_per_second
from lgm_bench.evaluation.estimates.estimate import KINDS, SAMPLES, estimates
from lgm_bench.evaluation.estimates.flops import image_pass
from lgm_bench.evaluation.estimates.preview import preview


class NeedsNumbers(nn.Module):
    """Cannot be counted without real numbers."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, : int(images.sum() > 0) + 2]


def test_operations_of_published_networks_are_the_published_ones() -> None:
    """ResNet-101 has 7.80 G multiply-adds a 224 x 224 image (He et al. 2016: 7.6 without the shortcuts')."""
    once = image_pass("resnet101-imagenet", "imagenet")
    assert once is not None
    assert once.gflops == pytest.approx(2 * 2 * 7.80, rel=0.01)
    assert once.classes == 1000


def test_the_way_back_costs_what_the_way_there_does() -> None:
    """Against torch's own count of both, on a network with memory."""
    from torch.utils.flop_counter import FlopCounterMode

    from victims import load_victim

    victim = load_victim("resnet20-cifar10", "random").requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        victim(torch.rand(1, 3, 32, 32, requires_grad=True)).sum().backward()
    once = image_pass("resnet20-cifar10", "cifar10")
    assert once is not None
    assert once.gflops == pytest.approx(counter.get_total_flops() / 1e9, rel=1e-3)


def test_iterations_samples_and_targets_multiply() -> None:
    one = cell(attack="bim", eps=8.0, steps=20)
    plain, targeted, limited, counted = estimates(
        [one, altered(one, targeted=True), altered(one, limit=50), altered(one, subset="holdout")],
        {("cifar10", "holdout"): 30},
    )
    assert plain.gflops is not None
    assert plain.total_gflops == pytest.approx(plain.gflops * 20 * 10_000)
    assert targeted.total_gflops == pytest.approx(9 * plain.gflops * 20 * 10_000)
    assert (limited.samples, counted.samples) == (50, 30)


def test_scenes_cost_what_table_6_says() -> None:
    lgm = flat_cell("minkunet34c-scannet", "scannet", "pointbim", "lgm", 0.01)
    ours, random = estimates([lgm, altered(lgm, attack="random", gradient="fgm")])
    assert ours.gflops == pytest.approx(2 * 782.1737 + 217.1055)
    assert ours.total_gflops == pytest.approx(ours.gflops * 50 * SAMPLES["scannet"])
    assert random.gflops == pytest.approx(217.1055)


def test_a_cell_of_two_tables_is_paid_once() -> None:
    one = cell(paper=("table_1", "eps=1", "x", "fgm"))
    first, second, other = estimates([one, altered(one, paper=None), altered(one, eps=2.0)])
    assert (first.same_as, second.same_as, other.same_as) == (None, one, None)
    assert second.total_gflops == 0


def test_what_is_not_known_is_not_made_up() -> None:
    own, street = estimates(
        [
            cell(victim=f"{__name__}:NeedsNumbers"),
            flat_cell("cylinder3d-semantickitti", "semantickitti-mini", "pointbim", "fgm", 0.05),
        ]
    )
    assert own.total_gflops is None
    assert street.total_gflops is None, "the size of the set is not known"
    found = preview([cell(victim=f"{__name__}:NeedsNumbers")], frozenset(), {})
    assert found.totals([0])["unknown"] == 1
    assert found.as_json()["cells"][0]["estimate"]["seconds"] is None
    with pytest.raises(UnknownNameError, match="did you mean"):
        image_pass("resnet101-imagenett", "imagenet")


@pytest.mark.parametrize("kind", KINDS)
def test_this_machine_computes_at_some_speed(kind: str) -> None:
    assert 0.1 < gflops_per_second(kind, torch.device("cpu")) < 1e6
