"""Cells of points with their defaults filled in: the released parameters, and what becomes of what a user gives."""

import re
from typing import Any

import pytest
from hand_made import altered, flat_cell
from tiny_points import ROOMS, SCENE_NET, SHAPE_NET, SHAPES

from lgm_bench.attacks import PointPert
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, GradientSpec
from lgm_bench.evaluation.cells.released import OURS, RELEASED
from lgm_bench.evaluation.cells.suites import data_of
from lgm_bench.evaluation.engine.building import build_attack, build_gradient, resolved
from lgm_bench.leaded import FGM, LGM

OWN = flat_cell(SCENE_NET, ROOMS, "pointbim", "lgm", 0.03, slope=7.0)


@pytest.mark.parametrize(("victim", "gradient"), [*RELEASED, *OURS], ids=lambda name: name)
def test_every_released_parameter_is_filled_in(victim: str, gradient: str) -> None:
    for eps, released in {**RELEASED, **OURS}[victim, gradient].items():
        cell = resolved(flat_cell(victim, data_of(victim), "pointbim", gradient, eps))
        assert (cell.attack.steps, cell.attack.step, cell.gradient.slope, cell.attack.loss) == (
            released.steps, released.step, released.slope, released.loss
        )  # fmt: skip
        ends = (released.input_slope, released.output_slope, released.floor_slope)
        assert (cell.gradient.input_slope, cell.gradient.output_slope, cell.gradient.floor_slope) == ends
        attack, method = build_attack(cell), build_gradient(cell)
        assert (attack.steps + 1, attack.step, attack.loss, attack.eps) == (
            released.steps, released.step, released.loss, eps
        )  # fmt: skip
        assert isinstance(method, LGM if gradient == "lgm" else FGM)
        assert (method.slope, method.voxels.input, method.voxels.output, method.voxels.floor) == (released.slope, *ends)
        assert resolved(cell) == cell, "nothing is left to fill in"


@pytest.mark.parametrize(
    "given",
    [{"steps": 7}, {"step": 0.002}, {"slope": 3.0}, {"input_slope": 3.0}, {"output_slope": 3.0}, {"floor_slope": 3.0},
     {"loss": "lovasz"}, {"relation": "rbf"}],
    ids=lambda given: next(iter(given)),
)  # fmt: skip
def test_what_is_given_comes_before_what_was_released(given: dict[str, Any]) -> None:
    plain = flat_cell("minkunet34-s3dis", "s3dis", "pointbim", "lgm", 0.01)
    assert resolved(altered(plain, **given)) == altered(resolved(plain), **given)


def test_released_steps_are_of_point_bim_alone() -> None:
    cell = resolved(flat_cell("minkunet34c-scannet", "scannet", "pointpert", "lgm", 0.01))
    assert (cell.gradient.slope, cell.gradient.input_slope, cell.attack.steps) == (10.0, 10.0, PointPert.default_steps)
    assert cell.attack.steps not in (30, 50)
    assert cell.attack.loss not in ("cross_entropy", "lovasz"), "its own"


def test_without_released_parameters_all_slopes_are_lgms_and_fgm_has_none() -> None:
    lgm, fgm = resolved(OWN).gradient, resolved(altered(OWN, gradient="fgm", slope=None)).gradient
    assert (lgm.input_slope, lgm.output_slope, lgm.floor_slope, lgm.relation) == (7.0, 7.0, None, "sigmoid")
    assert (fgm.input_slope, fgm.output_slope, fgm.floor_slope, fgm.relation) == (None,) * 4
    smooth = resolved(altered(OWN, gradient="fgm", slope=None, input_slope=5.0, relation="rbf")).gradient
    assert (smooth.input_slope, smooth.output_slope, smooth.relation) == (5.0, None, "rbf")


def test_the_papers_protocol_divides_and_the_released_one_does_not() -> None:
    paper, official = (build_gradient(resolved(altered(OWN, protocol=name))) for name in ("standard", "official"))
    assert (paper.voxels.normalized, official.voxels.normalized) == (True, False)
    counts = [build_attack(resolved(altered(OWN, protocol=name, steps=5))).steps for name in ("standard", "official")]
    assert counts == [5, 4]


@pytest.mark.parametrize("asked", [None, "auto"])
def test_slopes_that_were_not_released_are_automatic(asked: str | None) -> None:
    own = resolved(altered(OWN, slope=asked)).gradient
    assert (own.slope, own.input_slope, own.output_slope, own.floor_slope) == ("auto", None, None, None)
    assert resolved(altered(OWN, victim="minkunet34c-scannet", eps=0.03, slope=asked)).gradient == own
    released = resolved(altered(OWN, victim="minkunet34c-scannet", eps=0.005, slope=asked)).gradient
    assert (released.slope, released.input_slope) == ((25.0, 10.0) if asked is None else ("auto", None))
    given = resolved(altered(OWN, slope=asked, input_slope=5.0)).gradient
    assert (given.slope, given.input_slope, given.output_slope) == ("auto", 5.0, None)
    in_force = build_gradient(resolved(altered(OWN, slope=asked, input_slope=5.0))).voxels.at(7.0)
    assert (in_force.input, in_force.output, in_force.floor, in_force.relation) == (5.0, 7.0, 7.0, "sigmoid")


def test_random_moves_keep_nothing_of_a_gradient() -> None:
    cell = flat_cell(SCENE_NET, ROOMS, "random", "fgm", 0.03)
    plain = resolved(cell)
    assert (plain.attack.step, plain.attack.loss, plain.gradient) == (None, None, GradientSpec(NO_GRADIENT))
    assert resolved(altered(cell, input_slope=5.0, relation="rbf", loss="lovasz", step=0.01)) == plain


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"relation": "sigmoyd"}, UnknownNameError, "unknown relation function 'sigmoyd'; did you mean sigmoid?"),
        ({"relation": "x", "gradient": "fgm", "slope": None}, UnknownNameError, "unknown relation function 'x'"),
        ({"input_slope": -1.0}, ConfigError, "the input slope must be a positive number, got -1.0"),
        ({"floor_slope": float("inf")}, ConfigError, "the floor slope must be a positive number, got inf"),
        ({"slope": 0.0}, ConfigError, "slope must be a positive number, got 0.0"),
        ({"eps": -0.01}, ConfigError, "eps must be"),
        ({"step": -0.01}, ConfigError, "step must be"),
        ({"steps": 0}, ConfigError, "steps must be"),
        ({"loss": "cross_entrpy"}, UnknownNameError, "did you mean cross_entropy"),
        ({"attack": "pointbmi"}, UnknownNameError, "unknown attack 'pointbmi'; did you mean pointbim?"),
        ({"targeted": True}, ConfigError, "targeted is for attacks on images"),
        ({"valid_pixels": 0.05}, ConfigError, "valid_pixels is for attacks on images"),
        ({"active_set": True}, ConfigError, "active_set is for attacks on images"),
        ({"attack": "fgsm", "eps": 1.0}, ConfigError, "data set 'tiny_points:Rooms' holds scenes, which 'fgsm'"),
        ({"data": "cifar10"}, ConfigError, "data set 'cifar10' holds images, which 'pointbim' does not attack"),
        ({"protocol": "offical"}, UnknownNameError, "did you mean official"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        resolved(altered(OWN, **changes))


def test_options_of_points_are_none_of_images() -> None:
    images = flat_cell("dynconv8-mini", "digits", "fgsm", "fgm", 1.0)
    for name, value in {"relation": "rbf", "input_slope": 1.0, "output_slope": 1.0}.items():
        with pytest.raises(ConfigError, match=f"{name} is for attacks on points; leave it out with 'fgsm'"):
            resolved(altered(images, **{name: value}))
    with pytest.raises(UnknownNameError, match="unknown loss of fgsm 'lovasz'"):
        resolved(altered(images, loss="lovasz"))


@pytest.mark.parametrize("eps", [0.0, 1e-30])
def test_an_eps_that_moves_nothing_is_refused(eps: float) -> None:
    with pytest.raises(ConfigError, match=f"eps {eps:g} m moves no point; eps of points is in metres, such as 0.02"):
        resolved(altered(OWN, eps=eps))
    with pytest.raises(ConfigError, match="moves no point"):
        resolved(flat_cell(SHAPE_NET, SHAPES, "random", "fgm", eps))
