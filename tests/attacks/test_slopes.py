"""The default slopes against the protocol's table, and against what the shipped benchmark file needs."""

import pytest

from lgm_bench.attacks import POINT_ATTACKS
from lgm_bench.attacks.slopes import default_slope
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.building import resolved


@pytest.mark.parametrize(
    ("victim", "eps", "slopes"),
    [
        ("skipnet110-cifar10", (1, 2, 4, 8), (0.5, 0.3, 0.2, 0.2)),
        ("dynconv32-cifar10", (1, 2, 4, 8), (0.5, 0.2, 0.1, 0.0001)),
        ("skipnet101-imagenet", (1, 2, 4, 8, 16), (0.3, 0.005, 0.005, 0.0025, 0.0001)),
        ("dynconv101-imagenet", (1, 2, 4, 8, 16), (5, 0.05, 0.005, 0.001, 0.001)),
    ],
)
def test_single_step(victim: str, eps: tuple[int, ...], slopes: tuple[float, ...]) -> None:
    assert tuple(default_slope(victim, "fgsm", float(width), targeted=False) for width in eps) == slopes


@pytest.mark.parametrize(
    ("victim", "iterative", "cw", "targeted_cw"), [("skipnet38", 5, 35, 30), ("dynconv8", 10, 45, 45)]
)
def test_iterative(victim: str, iterative: float, cw: float, targeted_cw: float) -> None:
    for attack in ("bim", "pgd", "autopgd"):
        for targeted in (False, True):
            assert default_slope(f"{victim}-cifar10", attack, 8, targeted) == iterative
    assert default_slope(f"{victim}-cifar10", "cw", 8, targeted=False) == cw
    assert default_slope(f"{victim}-cifar10", "cw", 8, targeted=True) == targeted_cw


@pytest.mark.parametrize(
    ("victim", "attack", "eps", "message"),
    [
        ("skipnet110-cifar10", "fgsm", 3, "at eps 3 .only 1, 2, 4, 8."),
        ("skipnet101-imagenet", "bim", 8, "'bim' on 'skipnet101-imagenet'"),
        ("resnet32-cifar10", "fgsm", 8, "'resnet32-cifar10' has no released slope"),
        ("my.networks:skipnet110-cifar10", "fgsm", 8, "has no released slope"),
        ("dynconv32-cifar10", "autopdg", 8, "did you mean autopgd"),
    ],
)
def test_unknown_cells_say_what_to_do(victim: str, attack: str, eps: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        default_slope(victim, attack, eps, targeted=False)
    assert "--slope" in str(error.value)


def test_the_shipped_suites_find_a_slope_for_every_leaded_cell() -> None:
    bench = load_bench()
    cells = [planned.cell for planned in plan(bench, list(bench.suites), full=True)]
    leaded = [
        resolved(cell) if cell.attack.name in POINT_ATTACKS else cell for cell in cells if cell.gradient.name == "lgm"
    ]
    assert leaded
    assert all(cell.gradient.slope is not None and cell.gradient.slope > 0 for cell in leaded)
