import re
from typing import Any

import pytest
from hand_made import altered, flat_cell

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.units import check_sense, eps_text, paper_eps
from lgm_bench.evaluation.engine.building import build_attack, resolved
from lgm_bench.evaluation.wording import describe

OFFICIAL = flat_cell("dynconv8-mini", "digits", "bim", "fgm", 4.0)
STANDARD = altered(OFFICIAL, eps=8 / 255, protocol="standard")
POINTS = flat_cell("minkunet-scannet-mini", "scannet-mini", "pointbim", "fgm", 0.02)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (STANDARD, "8/255"),
        (altered(STANDARD, eps=0.5 / 255), "0.5/255"),
        (altered(STANDARD, eps=0.03), "0.03"),
        (OFFICIAL, "4 (8/255)"),
        (altered(OFFICIAL, eps=0.25), "0.25 (0.5/255)"),
        (POINTS, "0.02 m"),
    ],
)
def test_an_eps_is_printed_with_its_unit(cell: Cell, text: str) -> None:
    assert eps_text(cell) == text
    assert f" eps {text} " in describe(cell)


def test_both_protocols_mean_the_same_where_their_numbers_do() -> None:
    assert paper_eps(STANDARD) == paper_eps(OFFICIAL) == 4
    standard, official = (resolved(cell) for cell in (altered(STANDARD, step=2 / 255), altered(OFFICIAL, step=1.0)))
    assert (standard.attack.step, official.attack.step) == (2 / 255, 1.0)


def test_the_default_step_is_one_of_the_unit() -> None:
    assert (resolved(STANDARD).attack.step, resolved(OFFICIAL).attack.step) == (1 / 255, 1.0)
    steps = [resolved(altered(cell, attack="fgsm")).attack.step for cell in (STANDARD, OFFICIAL)]
    assert steps == pytest.approx([8 / 255, 4.0])
    assert resolved(resolved(STANDARD)) == resolved(STANDARD)


def test_an_attack_gets_the_true_half_width_and_range() -> None:
    for cell, low in ((STANDARD, 0.0), (OFFICIAL, -1.0)):
        attack = build_attack(cell)
        assert (attack.eps, attack.budget.low, attack.budget.high) == (pytest.approx(8 / 255), low, 1.0)


@pytest.mark.parametrize(
    ("cell", "changes", "message"),
    [
        (STANDARD, {"eps": 4.0}, "eps 4 is more than the whole range of intensities, [0, 1]; write 4/255"),
        (STANDARD, {"step": 2.0}, "step 2 is more than the whole range of intensities, [0, 1]; write 2/255"),
        (STANDARD, {"eps": 0.0}, "eps 0 changes no image; write at least 1/255"),
        (STANDARD, {"eps": 1e-7}, "eps 1e-07 changes no image"),
        (STANDARD, {"eps": float("nan")}, "eps must be a number of at least 0, got nan"),
        (STANDARD, {"eps": -0.1}, "eps must be a number of at least 0, got -0.1"),
        (STANDARD, {"steps": 10_000_000}, "steps 10,000,000 would take years"),
        (OFFICIAL, {"eps": 200.0}, "eps 200 is more than the whole range"),
        (OFFICIAL, {"eps": 8 / 255}, "less than one level of an image; for a half-width of 8/255 write 4,"),
        (POINTS, {"eps": 50.0}, "eps 50 m is larger than a room; eps of points is in metres, such as 0.02"),
    ],
)
def test_nonsense_is_refused_with_what_to_write(cell: Cell, changes: dict[str, Any], message: str) -> None:
    for check in (check_sense, resolved):
        with pytest.raises(ConfigError, match=re.escape(message)):
            check(altered(cell, **changes))


def test_an_unknown_protocol_gets_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown protocol 'offical'; did you mean official"):
        check_sense(altered(STANDARD, protocol="offical"))
