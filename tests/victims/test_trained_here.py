"""Networks for CIFAR-10 that were trained with this package, on real images: their figures, and what they decide."""

import json
from pathlib import Path

import pytest
import torch

from datamodules import load_datamodule
from lgm_bench.leaded.recording import hard_units
from victims import load_victim
from victims.checkpoints import shipped_store

N = 200
FEWEST = 0.03
"""Share of the decisions of a unit that differ from what most images decide; several units should reach it."""
NAMES = ["skipnet20_adaptive-cifar10", "dynconv20_at-cifar10", "skipnet20_at-cifar10"]


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_several_units_decide_by_the_image(name: str, samples: Path) -> None:
    data = load_datamodule("cifar10", data_root=samples / "data" / "cifar10", batch_size=N, limit=N)
    data.setup("test")
    images, labels, _ = next(iter(data.test_dataloader()))
    record = json.loads((shipped_store().folder / f"{name}.json").read_text())
    logits, decisions = hard_units(load_victim(name), images)
    accuracy = (logits.argmax(dim=1) == labels).double().mean().item()
    assert accuracy == pytest.approx(record["test"]["accuracy"], abs=0.08)
    shares = [unit.double().mean().item() for unit in decisions.values()]
    four_errors = 4 * 0.5 / N**0.5  # of the share of N images, where a unit is on for half of them
    assert shares == pytest.approx(record["test"]["executed_by_unit"], abs=four_errors)
    on = [unit.double().reshape(N, -1).mean(dim=0) for unit in decisions.values()]
    assert sum(torch.minimum(share, 1 - share).mean() > FEWEST for share in on) >= 5
