"""Occupancy: values and gradients under each gradient method."""

import math

import pytest
import torch
from torch import Tensor

from lgm_bench import FGM, LGM, Occupancy, StraightThrough
from lgm_bench.errors import ConfigError

SCORES = [-3.0, -0.7, -1e-3, 0.0, 1e-3, 0.4, 2.5]


def scores() -> Tensor:
    return torch.tensor(SCORES, dtype=torch.float64, requires_grad=True)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def occupancy_and_gradient(unit: Occupancy) -> tuple[Tensor, Tensor]:
    q = scores()
    occupancy = unit(q)
    weights = torch.arange(1.0, len(SCORES) + 1, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((occupancy * weights).sum(), q)
    return occupancy.detach(), gradient / weights


@pytest.mark.parametrize("inclusive", [False, True])
def test_fgm_is_hard_and_constant(inclusive: bool) -> None:
    unit = Occupancy(inclusive=inclusive)
    q = scores()
    occupancy = unit(q)
    expected = [float(score > 0 or (inclusive and score == 0)) for score in SCORES]
    assert occupancy.tolist() == expected
    assert occupancy.dtype == q.dtype
    assert not occupancy.requires_grad
    with FGM().applied_to(unit):
        assert unit(q).tolist() == expected


@pytest.mark.parametrize("slope", [1e-4, 0.3, 1.0, 5.0, 45.0])
def test_soft_lgm_is_the_sigmoid_in_both_passes(slope: float) -> None:
    unit = Occupancy()
    with LGM(slope).applied_to(unit):
        occupancy, gradient = occupancy_and_gradient(unit)
    expected = [sigmoid(slope * score) for score in SCORES]
    assert occupancy.tolist() == pytest.approx(expected, rel=1e-12)
    assert gradient.tolist() == pytest.approx([slope * o * (1 - o) for o in expected], rel=1e-9)


@pytest.mark.parametrize("slope", [0.3, 5.0])
def test_soft_lgm_against_finite_differences(slope: float) -> None:
    unit = Occupancy()
    with LGM(slope).applied_to(unit):
        assert torch.autograd.gradcheck(unit, scores())


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("slope", [0.3, 5.0])
def test_hard_lgm_is_hard_forward_and_soft_backward(slope: float, inclusive: bool) -> None:
    unit = Occupancy(inclusive=inclusive)
    with LGM(slope).applied_to(unit):
        _, soft_gradient = occupancy_and_gradient(unit)
    with StraightThrough(slope).applied_to(unit):
        occupancy, gradient = occupancy_and_gradient(unit)
    assert torch.equal(occupancy, unit(scores())), "exactly 0 or 1"
    assert torch.equal(gradient, soft_gradient)


def test_scores_too_small_for_the_sigmoid() -> None:
    """In float32 a tiny positive score has a sigmoid of exactly 0.5: SkipNet's rule says no, DynConv's yes."""
    tiny = torch.tensor([1e-9, -1e-9])
    assert Occupancy().hard(tiny).tolist() == [False, False]
    assert Occupancy(inclusive=True).hard(tiny).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("method", [FGM(), LGM(2.0), StraightThrough(2.0)], ids=repr)
def test_shape_and_dtype_of_the_score(dtype: torch.dtype, method) -> None:
    unit = Occupancy()
    with method.applied_to(unit):
        occupancy = unit(torch.randn(2, 1, 3, 4).to(dtype))
    assert (occupancy.shape, occupancy.dtype) == ((2, 1, 3, 4), dtype)
    assert bool(((occupancy >= 0) & (occupancy <= 1)).all())


def test_large_scores_stay_finite() -> None:
    unit = Occupancy()
    q = torch.tensor([-1e4, 1e4], requires_grad=True)
    with LGM(100.0).applied_to(unit):
        occupancy = unit(q)
    (gradient,) = torch.autograd.grad(occupancy.sum(), q)
    assert occupancy.tolist() == [0, 1]
    assert gradient.tolist() == [0, 0]


@pytest.mark.parametrize("slope", [0.0, -1.0, math.inf, -math.inf, math.nan])
def test_senseless_slopes(slope: float) -> None:
    with pytest.raises(ConfigError, match=r"slope must be a positive number or 'auto', got"):
        LGM(slope)


def test_checkpoints_do_not_see_it() -> None:
    assert Occupancy().state_dict() == {}


def test_methods_and_units_print_what_they_are() -> None:
    assert [repr(FGM()), repr(LGM(0.5)), repr(StraightThrough(2))] == [
        "FGM()",
        "LGM(slope=0.5)",
        "StraightThrough(slope=2)",
    ]
    assert repr(Occupancy(inclusive=True)) == "Occupancy(inclusive=True)"
