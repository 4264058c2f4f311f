"""Metrics over two processes, shares of odd and zero size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from forked import together
from torch import distributed

from lgm_bench.metrics.architecture_change import ArchitectureChange
from lgm_bench.metrics.segmentation import MeanIoU, confusion_matrix

SHARES = {"4+3": (range(0, 7, 2), range(1, 7, 2)), "7+0": (range(7), range(0))}
CLASSES = 4


def decisions(seed: int) -> list[torch.Tensor]:
    """Of two units, for seven samples."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand((7, *shape), generator=generator) < 0.4 for shape in ((), (1, 2, 3))]


def scene(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and predictions."""
    generator = torch.Generator().manual_seed(number)
    labels, predictions = torch.randint(0, CLASSES, (2, 30 + number), generator=generator)
    return labels, predictions


def architecture_change(numbers: range) -> ArchitectureChange:
    metric = ArchitectureChange(over="attacked")
    attacked = torch.arange(7) % 2 == 0
    for number in numbers:
        one = slice(number, number + 1)
        metric.update([b[one] for b in decisions(0)], [a[one] for a in decisions(1)], attacked[one])
    return metric


def miou(numbers: range) -> MeanIoU:
    metric = MeanIoU(CLASSES)
    for number in numbers:
        metric.update(confusion_matrix(*scene(number), CLASSES))
    return metric


def _rank(rank: int, rendezvous: str, out: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    for name, shares in SHARES.items():
        found = {"change": architecture_change(shares[rank]).compute(), "miou": miou(shares[rank]).compute()}
        torch.save(found, f"{out}-{name}-{rank}")
    distributed.barrier()  # the last that the two have in common; leaving the group may block where torch is old


def test_two_processes_merge_odd_shares(tmp_path: Path) -> None:
    together(_rank, str(tmp_path / "rendezvous"), str(tmp_path / "out"))
    change, mean = architecture_change(range(7)).compute(), miou(range(7)).compute()
    assert 0 < change["ratio"] < 1
    assert 0 < mean < 1
    for name in SHARES:
        for rank in range(2):
            found = torch.load(tmp_path / f"out-{name}-{rank}")
            assert found["miou"].item() == pytest.approx(mean.item(), rel=1e-15)
            assert found["change"].keys() == change.keys()
            for key, value in change.items():
                np.testing.assert_allclose(found["change"][key].numpy(), value.numpy(), rtol=1e-12)
