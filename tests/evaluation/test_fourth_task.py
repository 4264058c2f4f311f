"""A task that lgm-bench does not know, tabular rows with labels, from this one file to a table of results."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hand_made import flat_cell
from torch import Tensor, nn

import lgm_bench
from datamodules.loaders import BatchLoader
from datamodules.samples_datamodule import SamplesDataModule
from lgm_bench import LGM, Occupancy
from lgm_bench.attacks import PGD
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.results.formats import to_markdown
from lgm_bench.results.frame import frame_of
from lgm_bench.results.tables import build_tables
from lgm_bench.tasks.base import Task
from lgm_bench.tasks.images import ACCURACY, CLASSIFIED, CLEAN_ACCURACY, SUCCESS_RATE
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE, EXECUTED
from lgm_bench.tasks.tensors import Tensors
from victims.victim import Victim

HERE = "test_fourth_task"
FEATURES, CLASSES, N = 6, 3, 40


class RowClassification(Task):
    """Rows (B, features) with one label each."""

    name, adapter, sample = f"{HERE}:RowClassification", f"{HERE}:Rows", "row"
    columns, main = CLASSIFIED, "accuracy"
    metrics = (CLEAN_ACCURACY, ACCURACY, SUCCESS_RATE, ARCHITECTURE_CHANGE, *EXECUTED)


class Rows(Tensors):
    """How attacks handle them: as any tensor."""

    task = RowClassification


class Batch(NamedTuple):
    rows: Tensor
    labels: Tensor
    ids: list[str]


class Measurements(SamplesDataModule):
    """Rows in [0, 1], labelled by the network below, but for every fifth."""

    name, task, num_classes, class_names = "measurements", RowClassification.name, CLASSES, ("low", "middle", "high")
    subsets = ("test",)
    default_batch_size = 16

    def __init__(self, data_root=None, batch_size=16, limit=None, subset="test") -> None:
        super().__init__(data_root, batch_size, limit, subset)

    def subset_ids(self) -> list[str]:
        return [f"row-{number}" for number in range(N)]

    def test_dataloader(self) -> BatchLoader[Batch]:
        return BatchLoader(batch_of, self.test_sampler(), self.batch_size)


def batch_of(_: int, indices: list[int]) -> Batch:
    rows = torch.rand(N, FEATURES, generator=torch.Generator().manual_seed(1))
    labels = (network()(rows).argmax(1) + (torch.arange(N) % 5 == 4)) % CLASSES
    return Batch(rows[indices], labels[indices], [f"row-{index}" for index in indices])


class Gated(nn.Module):
    """Two layers, the second of which runs where the first says so."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)
        self.gate, self.head = Occupancy(), nn.Linear(FEATURES, CLASSES)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.first(rows - 0.5)
        score = 8 * hidden.sum(dim=1, keepdim=True)
        return 10 * (self.head(hidden) + self.gate(score) * self.second(hidden.sin()))


class Net(Victim):
    """The victim."""

    task = RowClassification.name

    def __init__(self) -> None:
        super().__init__(Gated())

    def forward(self, rows: Tensor) -> Tensor:
        return self.network(rows)


def network() -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net().eval().requires_grad_(False)


def test_from_cells_to_a_table(tmp_path: Path) -> None:
    cells = [
        flat_cell(f"{HERE}:Net", f"{HERE}:Measurements", "pgd", gradient, 20.0, step=4.0, steps=6, slope=slope)
        for gradient, slope in (("fgm", None), ("lgm", 3.0))
    ]
    targeted = flat_cell(f"{HERE}:Net", f"{HERE}:Measurements", "bim", "fgm", 20.0, steps=3, targeted=True)
    found = run_cells([*cells, targeted], tmp_path / "results", accelerator="cpu", save_adversarial=True)
    assert found.failures == []
    assert [result.task for result in found] == [RowClassification.name] * 3
    fgm, lgm, _ = (result.metrics for result in found)
    assert fgm["clean_accuracy"] == pytest.approx(0.8)
    assert fgm["accuracy"] < 0.8
    assert lgm["accuracy"] < 0.8
    assert 0 < fgm["architecture_change"] < 1
    (table,) = build_tables(frame_of(found[:2]))
    assert f"{100 * fgm['accuracy']:.2f}" in to_markdown(table)
    frame = lgm_bench.results(tmp_path / "results")
    assert sorted(frame["accuracy"]) == pytest.approx(sorted(result.metrics["accuracy"] for result in found))
    again = run_cells(cells, tmp_path / "results", accelerator="cpu")
    assert [result.metrics for result in again] == [fgm, lgm], "read, not computed"


def test_in_python_an_attack_finds_the_task_by_the_victim() -> None:
    rows, labels, _ = next(iter(Measurements().test_dataloader()))
    moved = PGD(0.1, step=0.03, steps=5).perturb(network(), rows, labels, gradient=LGM(3.0))
    assert float((moved - rows).abs().max()) == pytest.approx(0.1, abs=1e-6)
    losses = [nn.functional.cross_entropy(network()(x), labels) for x in (rows, moved)]
    assert losses[1] > losses[0]
