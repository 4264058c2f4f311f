"""Relation functions at a voxel's centre, on its faces and far away, and the slopes that are refused."""

import math

import pytest
import torch

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.voxels import VoxelSlopes
from lgm_bench.voxels.relation import RELATIONS, soft_floor

CENTRE, FACE, EDGE = [0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.5, 0.5, 0.0]


def relation(name: str, distances: list[float], slope: float) -> float:
    return RELATIONS[name](torch.tensor([distances], dtype=torch.float64), slope).exp().item()


def expected(name: str, distances: list[float], slope: float) -> float:
    """The formulas as the paper prints them."""
    if name == "sigmoid":
        return math.prod(1 / (1 + math.exp(-slope * (0.5 - d))) for d in distances)
    if name == "bilinear":
        return math.prod(max(0.0, 1 - d) for d in distances)
    return math.exp(-slope * sum(d * d for d in distances))


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("distances", [CENTRE, FACE, EDGE, [0.3, 0.7, 1.2], [2.0, 0.1, 0.1]])
@pytest.mark.parametrize("slope", [1.0, 10.0])
def test_the_formulas(name: str, distances: list[float], slope: float) -> None:
    assert relation(name, distances, slope) == pytest.approx(expected(name, distances, slope), rel=1e-12, abs=1e-300)


def test_a_sigmoid_becomes_a_step() -> None:
    assert relation("sigmoid", CENTRE, 1000) == pytest.approx(1)
    assert relation("sigmoid", [0.49, 0.49, 0.49], 5000) == pytest.approx(1)
    assert relation("sigmoid", [0.51, 0.0, 0.0], 5000) < 1e-20
    assert relation("sigmoid", FACE, 1000) == pytest.approx(0.5), "half inside, whatever the slope"


@pytest.mark.parametrize("name", RELATIONS)
def test_gradients_are_finite_and_point_to_the_centre(name: str) -> None:
    distance = torch.tensor([[0.2, 0.4, 0.9], [0.0, 0.5, 0.5], [3.0, 0.0, 0.0]], dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(RELATIONS[name](distance, 20.0).exp().sum(), distance)
    assert gradient.isfinite().all()
    assert (gradient <= 0).all(), "farther is less"
    assert (gradient[0] < 0).all()


def test_soft_floor() -> None:
    values = torch.tensor([-1.3, -1.0, -0.01, 0.3, 2.49, 2.51], dtype=torch.float64)
    assert torch.allclose(soft_floor(values, 1e4), torch.tensor([-2, -1.5, -1, 0, 2, 2]).double())
    steps = torch.linspace(-3, 3, 601, dtype=torch.float64)
    assert (soft_floor(steps, 20.0).diff() > -1e-4).all(), "it never goes down"


@pytest.mark.parametrize("name", ["input", "output", "floor"])
@pytest.mark.parametrize("slope", [0.0, -1.0, math.nan, math.inf])
def test_slopes_that_make_no_sense(name: str, slope: float) -> None:
    with pytest.raises(ConfigError, match=f"the {name} slope must be a positive number, got {slope}"):
        VoxelSlopes(**{name: slope})


def test_an_unknown_relation() -> None:
    with pytest.raises(UnknownNameError, match="unknown relation function 'sigmiod'; did you mean sigmoid"):
        VoxelSlopes(relation="sigmiod")
