"""The embedded suite's cells on the generated street and shapes, a few of them run: who is stronger than whom."""

from pathlib import Path

import pytest
from hand_made import altered

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.engine.runner import run_cells

KINDS = (("random", "none"), ("pointbim", "fgm"), ("pointbim", "lgm"))
EPS = {"cylinder3d-semantickitti-mini": (0.05,), "minknet-modelnet40-mini": (0.02, 0.1)}


def cells_of(victim: str) -> list[Cell]:
    return [resolved(planned.cell) for planned in plan(load_bench(), ["mini"]) if planned.cell.victim.name == victim]


@pytest.mark.parametrize("victim", EPS)
def test_the_suite_compares_random_moves_fgm_and_lgm(victim: str) -> None:
    found = cells_of(victim)
    assert {cell.data.name for cell in found} == {victim.partition("-")[2]}
    assert {(cell.attack.name, cell.gradient.name, cell.attack.eps) for cell in found} == {
        (*kind, eps) for kind in KINDS for eps in EPS[victim]
    }
    assert all(cell.gradient.slope for cell in found if cell.gradient.name == "lgm")
    assert all(cell.attack.steps == 10 for cell in found if cell.attack.name == "pointbim")


@pytest.mark.parametrize(
    ("victim", "eps", "limit"), [(name, EPS[name][-1], 8 if "modelnet40" in name else 1) for name in EPS]
)
def test_gradients_are_stronger_than_chance(
    victim: str, eps: float, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path / "store"))
    chosen = [
        altered(cell, limit=limit, steps=4 if cell.attack.name == "pointbim" else cell.attack.steps)
        for cell in cells_of(victim)
        if cell.attack.eps == eps
    ]
    results = run_cells(chosen, tmp_path / "out", accelerator="cpu")
    left = {(r.cell.attack.name, r.cell.gradient.name): r.left for r in results}
    clean = results[0].clean
    assert clean > 0.6
    assert left["pointbim", "lgm"] < left["pointbim", "fgm"] < clean
    assert left["pointbim", "fgm"] <= left["random", "none"]
    assert all(result.checks.within_bounds for result in results)
