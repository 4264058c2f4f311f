"""The embedded suite: what `lgm-bench run --suite mini` runs, on a few images, against the attack written out."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hand_made import altered

from datamodules import load_datamodule
from lgm_bench import LGM, Choice, Exit, Halting, Leaded, Occupancy, TopK
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.evaluation.readiness import look
from victims import load_victim

LIMIT = 40


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path / "store"))
    return tmp_path / "cache"


def cells() -> list[Cell]:
    return [planned.cell for planned in plan(load_bench(), ["mini"])]


@pytest.mark.parametrize(
    ("data", "static", "adaptive"),
    [
        ("digits", "resnet8-mini", ("skipnet14-mini", "dynconv8-mini")),
        ("imagenet-mini", "resnet10-imagenet-mini", ("skipnet10-imagenet-mini", "dynconv10-imagenet-mini")),
    ],
)
def test_the_suite_compares_fgm_with_lgm_on_both_adaptive_victims(
    data: str, static: str, adaptive: tuple[str, str]
) -> None:
    gradients = {static: {"fgm"}} | {victim: {"fgm", "lgm"} for victim in adaptive}
    chosen = [resolved(cell) for cell in cells() if cell.victim.name in gradients]
    assert {cell.data.name for cell in chosen} == {data}
    assert {(cell.victim.name, cell.attack.name, cell.gradient.name) for cell in chosen} == {
        (victim, attack, gradient)
        for victim in gradients
        for gradient in gradients[victim]
        for attack in ("fgsm", "bim")
    }
    assert all(cell.gradient.slope for cell in chosen if cell.gradient.name == "lgm")


def test_the_suite_has_a_network_of_every_gate() -> None:
    names = {cell.victim.name for cell in cells() if cell.data.name == "digits"}
    gates = {type(module) for name in names for module in load_victim(name, "random").modules()}
    assert {Occupancy, Exit, TopK, Choice, Halting} <= gates


@pytest.mark.parametrize("data", ["scannet-mini", "s3dis-mini"])
def test_the_suite_compares_random_moves_fgm_and_lgm_in_rooms(data: str) -> None:
    found = [resolved(cell) for cell in cells() if cell.data.name == data]
    kinds = [("random", "none"), ("pointbim", "fgm"), ("pointbim", "lgm")]
    assert {(cell.victim.name, cell.attack.name, cell.gradient.name, cell.attack.eps) for cell in found} == {
        (f"minkunet-{data}", *kind, eps) for kind in kinds for eps in (0.01, 0.02)
    }
    assert all(cell.gradient.slope for cell in found if cell.gradient.name == "lgm")
    assert {cell.data.limit for cell in found} == {3}


def test_nothing_is_missing_on_a_fresh_machine(tmp_path: Path) -> None:
    assert look(plan(load_bench(), ["mini"]), data_root=str(tmp_path / "nothing here")).gaps == []


@pytest.mark.parametrize("victim_name", ["dynconv8-mini", "skipnet10-imagenet-mini"])
def test_a_cell_is_the_attack_written_out(victim_name: str, tmp_path: Path) -> None:
    chosen = next(
        cell
        for cell in cells()
        if (cell.victim.name, cell.attack.name, cell.gradient.name) == (victim_name, "fgsm", "lgm")
    )
    cell = altered(resolved(chosen), limit=LIMIT)
    (result,) = run_cells([cell], tmp_path / "out", accelerator="cpu")
    datamodule = load_datamodule(cell.data.name, batch_size=LIMIT, limit=LIMIT)
    datamodule.setup("test")
    batch = next(iter(datamodule.test_dataloader()))
    victim = load_victim(cell.victim.name)
    clean = victim(batch.images).argmax(1) == batch.labels
    images = batch.images.clone().requires_grad_()
    loss = F.cross_entropy(Leaded(victim, LGM(cell.gradient.slope))(images), batch.labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    attacked = (batch.images + cell.attack.eps * gradient.sign()).clamp(0, 1)
    correct = clean & (victim(attacked).argmax(1) == batch.labels)
    assert result.n_samples == LIMIT
    assert result.clean == clean.double().mean().item()
    assert result.left == pytest.approx(correct.double().mean().item(), abs=1.01 / LIMIT)
    assert result.left < result.clean
    assert result.metrics["architecture_change"] > 0
    assert result.checks.within_bounds
