"""The embedded suite: what `lgm-bench run --suite mini` runs, on a few images, against the attack written out."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from datamodules import load_datamodule
from lgm_bench import LGM, Leaded
from lgm_bench.bench.cells.cell import Cell
from lgm_bench.bench.cells.config import load_bench
from lgm_bench.bench.cells.suites import plan
from lgm_bench.bench.readiness import find_gaps
from lgm_bench.bench.running.building import resolved
from lgm_bench.bench.running.runner import run_cells
from victims import load_victim

LIMIT = 40


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path / "store"))
    return tmp_path / "cache"


def cells() -> list[Cell]:
    return [planned.cell for planned in plan(load_bench(), ["mini"])]


def test_the_suite_compares_fgm_with_lgm_on_both_adaptive_victims() -> None:
    found = {(cell.victim, cell.attack, cell.gradient) for cell in cells() if cell.data == "digits"}
    gradients = {"resnet8-mini": {"fgm"}, "skipnet14-mini": {"fgm", "lgm"}, "dynconv8-mini": {"fgm", "lgm"}}
    assert found == {(v, a, g) for v, known in gradients.items() for g in known for a in ("fgsm", "bim")}
    assert all(cell.slope for cell in cells() if cell.gradient == "lgm" and cell.data == "digits")


@pytest.mark.parametrize("data", ["scannet-mini", "s3dis-mini"])
def test_the_suite_compares_random_moves_fgm_and_lgm_in_rooms(data: str) -> None:
    found = [resolved(cell) for cell in cells() if cell.data == data]
    kinds = [("random", "fgm"), ("pointbim", "fgm"), ("pointbim", "lgm")]
    assert {(cell.victim, cell.attack, cell.gradient, cell.eps) for cell in found} == {
        (f"minkunet-{data}", *kind, eps) for kind in kinds for eps in (0.01, 0.02)
    }
    assert all(cell.slope for cell in found if cell.gradient == "lgm")
    assert {cell.limit for cell in found} == {3}


def test_nothing_is_missing_on_a_fresh_machine(tmp_path: Path) -> None:
    assert find_gaps(plan(load_bench(), ["mini"]), data_root=str(tmp_path / "nothing here")) == []


def test_a_cell_is_the_attack_written_out(tmp_path: Path) -> None:
    chosen = next(
        cell for cell in cells() if (cell.victim, cell.attack, cell.gradient) == ("dynconv8-mini", "fgsm", "lgm")
    )
    cell = replace(chosen, limit=LIMIT)
    (result,) = run_cells([cell], tmp_path / "out", accelerator="cpu")
    datamodule = load_datamodule("digits", batch_size=LIMIT, limit=LIMIT)
    datamodule.setup("test")
    batch = next(iter(datamodule.test_dataloader()))
    victim = load_victim(cell.victim)
    clean = victim(batch.images).argmax(1) == batch.labels
    images = batch.images.clone().requires_grad_()
    loss = F.cross_entropy(Leaded(victim, LGM(cell.slope))(images), batch.labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    attacked = (batch.images + cell.eps * 2 / 255 * gradient.sign()).clamp(-1, 1)
    correct = clean & (victim(attacked).argmax(1) == batch.labels)
    assert result.n_samples == LIMIT
    assert result.clean_accuracy == clean.double().mean().item()
    assert result.accuracy == pytest.approx(correct.double().mean().item(), abs=1.01 / LIMIT)
    assert result.accuracy < result.clean_accuracy
    assert result.architecture_change > 0
    assert result.checks.within_bounds
