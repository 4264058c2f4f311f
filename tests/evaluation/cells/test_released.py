"""The parameters of the released runs, line by line as the publication's own configurations have them."""

from itertools import product
from pathlib import Path

import pytest
from hand_made import altered, flat_cell
from tiny_points import ROOMS, SCENE_NET

from lgm_bench.evaluation.cells.cell import NO_GRADIENT
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.kinds import softens
from lgm_bench.evaluation.cells.released import RELEASED, SINGLE_STEP, image_slope, point_settings, stored_slope
from lgm_bench.evaluation.cells.schema import Grid
from lgm_bench.evaluation.cells.suites import data_of, plan
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.leaded import AUTO
from lgm_bench.tasks.inputs import PAPER_UNIT, parse_number
from victims.checkpoints import CheckpointStore, shipped_store
from victims.registry import CheckpointEntry, StoredSlopes

EPS = (0.005, 0.01, 0.02, 0.05)
ROOM, STREET = (0.0025, 0.01, 0.01, 0.01), (0.0025, 0.005, 0.005, 0.005)
#: By victim and gradient: loss, steps, step, input, convolution, output and floor slope; one value, or one an eps.
LINES = {
    ("minkunet34c-scannet", "lgm"): ("cross_entropy", (30, 50, 50, 50), ROOM, 10, (25, 10, 10, 15), 10, None),
    ("minkunet34c-scannet", "fgm"): ("cross_entropy", 30, (0.005, 0.01, 0.01, 0.05), 20, None, 20, None),
    ("minkunet34-s3dis", "lgm"): ("cross_entropy", 50, (0.005, 0.01, 0.01, 0.025), 45, 55, 45, 20),
    ("minkunet34-s3dis", "fgm"): ("cross_entropy", 30, (0.005, 0.01, 0.02, 0.05), 55, None, 55, 20),
    ("cylinder3d-semantickitti", "lgm"): ("lovasz", 30, STREET, 10, (250, 200, 200, 200), None, None),
    ("cylinder3d-semantickitti", "fgm"): ("lovasz", 30, STREET, None, None, None, None),
}


@pytest.mark.parametrize(("cell", "column"), list(product(RELEASED, range(4))))
def test_points(cell: tuple[str, str], column: int) -> None:
    found = point_settings(*cell, EPS[column])
    values = (found.loss, found.steps, found.step, found.input_slope, found.slope)
    expected = tuple(value[column] if isinstance(value, tuple) else value for value in LINES[cell])
    assert (*values, found.output_slope, found.floor_slope) == expected


def test_points_without_released_parameters() -> None:
    assert point_settings("minkunet34c-scannet", "lgm", 0.03) is None
    assert point_settings("my.net:Net", "lgm", 0.01) is None


def test_another_gradient_takes_the_parameters_of_the_one_that_it_is_compared_with() -> None:
    assert point_settings("minkunet34-s3dis", "soft", 0.01) == RELEASED["minkunet34-s3dis", "lgm"][0.01]
    cells = [resolved(flat_cell("dynconv32-cifar10", "cifar10", "bim", name, 8.0)) for name in ("lgm", "soft")]
    assert [cell.gradient.slope for cell in cells] == [10.0, 10.0]


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
    assert tuple(image_slope(victim, "fgsm", float(width), targeted=False) for width in eps) == slopes


@pytest.mark.parametrize(
    ("victim", "iterative", "cw", "targeted_cw"), [("skipnet38", 5, 35, 30), ("dynconv8", 10, 45, 45)]
)
def test_iterative(victim: str, iterative: float, cw: float, targeted_cw: float) -> None:
    for attack in ("bim", "pgd", "autopgd"):
        for targeted in (False, True):
            assert image_slope(f"{victim}-cifar10", attack, 8, targeted) == iterative
    assert image_slope(f"{victim}-cifar10", "cw", 8, targeted=False) == cw
    assert image_slope(f"{victim}-cifar10", "cw", 8, targeted=True) == targeted_cw


@pytest.mark.parametrize(
    ("victim", "data", "attack", "eps"),
    [
        ("skipnet110-cifar10", "cifar10", "fgsm", 3.0),
        ("skipnet101-imagenet", "imagenet", "bim", 8.0),
        ("tiny_networks:Adaptive", "cifar10", "fgsm", 8.0),
    ],
)
def test_what_was_not_released_is_automatic(victim: str, data: str, attack: str, eps: float) -> None:
    assert resolved(flat_cell(victim, data, attack, "lgm", eps)).gradient.slope == "auto"


def test_the_shipped_suites_find_a_slope_for_every_cell_that_needs_one() -> None:
    bench = load_bench()
    cells = [resolved(planned.cell) for planned in plan(bench, list(bench.suites), full=True)]
    leaded = [cell for cell in cells if cell.gradient.name != NO_GRADIENT and softens(cell.gradient.name)]
    assert leaded
    automatic = [cell for cell in leaded if cell.gradient.slope == AUTO]
    assert all(stored_slope(cell) in (AUTO, None) for cell in automatic)
    assert all(cell in automatic or (cell.gradient.slope or 0) > 0 for cell in leaded)


def test_slopes_that_are_stored_with_the_weights_come_before_the_released_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path))
    found = {"gradient": "lgm", "protocol": "official", "steps": 1, "samples": "9", "found": "2026-01-02"}
    slopes = {"fgsm": {"8/255": 7.0}, "bim": {"4/255": 9.0}, "pointbim": {"0.03": 11.0}}
    stored = tuple(StoredSlopes(attack=attack, slopes=given, **found) for attack, given in slopes.items())
    for victim, name in (("dynconv32-cifar10", "cifa"), (SCENE_NET, "room")):
        entry = CheckpointEntry(victim=victim, file=f"{name}.safetensors", sha256="0" * 64, source="", slopes=stored)
        CheckpointStore(tmp_path).add(entry, b"")
    images = flat_cell("dynconv32-cifar10", "cifar10", "fgsm", "lgm", 4.0)
    found = [images, altered(images, eps=2.0), altered(images, eps=2.0, attack="bim"), altered(images, slope=1.0)]
    found += [flat_cell(SCENE_NET, ROOMS, "pointbim", "soft", 0.03)]
    assert [resolved(cell).gradient.slope for cell in found] == [7.0, 0.2, 9.0, 1.0, 11.0]
    elsewhere = altered(images, checkpoint=str(tmp_path / "cifa.safetensors"))
    assert resolved(elsewhere).gradient.slope == 7.0
    assert resolved(altered(images, checkpoint="random")).gradient.slope == 0.1


def test_of_stored_slopes_those_of_the_most_similar_search_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path))
    found = {"attack": "fgsm", "steps": 1, "samples": "9", "found": "2026-01-02"}
    stored = (
        StoredSlopes(gradient="lgm", protocol="official", slopes={"4/255": 1.0, "8/255": 2.0}, **found),
        StoredSlopes(gradient="lgm", protocol="standard", slopes={"8/255": 3.0}, **found),
        StoredSlopes(gradient="soft", protocol="standard", slopes={"8/255": "auto"}, **found),
    )
    entry = CheckpointEntry(victim="dynconv32-cifar10", file="a.safetensors", sha256="0" * 64, source="", slopes=stored)
    CheckpointStore(tmp_path).add(entry, b"")
    official = flat_cell("dynconv32-cifar10", "cifar10", "fgsm", "lgm", 4.0)
    standard = altered(official, protocol="standard", eps=8 / 255)
    assert stored_slope(official) == 2.0
    assert stored_slope(standard) == 3.0
    assert stored_slope(altered(standard, gradient="soft")) == "auto"
    assert stored_slope(altered(standard, eps=4 / 255)) == 1.0
    assert stored_slope(altered(standard, eps=5 / 255)) is None


def test_published_weights_keep_the_released_slopes_under_the_official_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path))
    found = {"attack": "fgsm", "gradient": "lgm", "protocol": "official", "steps": 1, "samples": "9"}
    stored = StoredSlopes(slopes={"8/255": 2.0}, found="2026-01-02", **found)
    published = CheckpointEntry(
        victim="dynconv32-cifar10",
        file="a.safetensors",
        sha256="0" * 64,
        official_file="exp/cifar/resnet32/sparse05/checkpoint_best.pth",
        source="",
        slopes=(stored,),
    )
    CheckpointStore(tmp_path).add(published, b"")
    official = flat_cell("dynconv32-cifar10", "cifar10", "fgsm", "lgm", 4.0)
    assert resolved(official).gradient.slope == SINGLE_STEP["dynconv", "cifar10"][4]
    assert resolved(altered(official, protocol="standard", eps=8 / 255)).gradient.slope == 2.0


def test_the_tuned_slopes_of_shipped_victims_are_those_of_their_weights() -> None:
    """What stands in the registry is what an attack takes that names no slope, at every eps that was searched."""
    entries = [entry for entry in shipped_store().entries() if entry.slopes]
    assert {entry.victim for entry in entries} >= {"skipnet14-mini", "skipnet20-cifar10"}
    for entry in entries:
        for stored in entry.slopes:
            paper = stored.protocol == "official"
            for width, slope in stored.slopes.items():
                eps = parse_number(width) / (PAPER_UNIT if paper else 1)
                of = flat_cell(entry.victim, data_of(entry.victim), stored.attack, stored.gradient, eps)
                assert resolved(altered(of, protocol=stored.protocol)).gradient.slope == slope
    assert not any(victim.slopes for grid in shipped_grids() for victim in (*grid.victims, *grid.if_available))


def shipped_grids() -> list[Grid]:
    return [grid for suite in load_bench().suites.values() for grid in (*suite.grids, *suite.full)]
