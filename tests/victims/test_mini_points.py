"""The shipped miniature victims of the generated street and shapes: verified weights, the figures of their records."""

import json
from pathlib import Path

import pytest
import torch

from datamodules import load_datamodule
from datamodules.batch import IGNORED
from lgm_bench.metrics.confusion import mean_iou_of
from victims import checkpoint_id, load_victim
from victims.checkpoints import sha256_of, shipped_store

NAMES = {"cylinder3d-semantickitti-mini": 2 << 20, "minknet-modelnet40-mini": 1 << 20}


def record_of(name: str) -> dict:
    store = shipped_store()
    entry = store.ready(name)
    assert entry is not None
    return json.loads((store.folder / str(entry.training)).read_text())


@pytest.mark.parametrize(("name", "size"), NAMES.items())
def test_registered_file_is_the_one_that_was_trained(name: str, size: int) -> None:
    store, record = shipped_store(), record_of(name)
    entry = store.ready(name)
    assert entry is not None
    file = store.folder / str(entry.file)
    assert sha256_of(file) == entry.sha256 == checkpoint_id(name) == record["sha256"]
    assert file.stat().st_size <= size
    assert (record["victim"], record["data"]["name"], entry.licence) == (name, name.partition("-")[2], "Apache-2.0")
    assert len(record["epochs"]) == record["recipe"]["epochs"]


@torch.no_grad()
@pytest.mark.parametrize(("name", "least"), [("cylinder3d-semantickitti-mini", 0.6), ("minknet-modelnet40-mini", 0.9)])
def test_clean_figures_are_those_of_the_training_record(
    name: str, least: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path))
    victim, datamodule = load_victim(name), load_datamodule(name.partition("-")[2])
    datamodule.setup("test")
    counts = torch.zeros(256, 256, dtype=torch.int64)
    for batch in datamodule.test_dataloader():
        pairs = torch.stack([batch.labels, victim(batch.cloud).argmax(1)])
        counts.index_put_(tuple(pairs), torch.tensor(1), accumulate=True)
    counts[IGNORED] = 0
    counts = counts[: victim.num_classes, : victim.num_classes]
    recorded, accuracy = record_of(name)["test"], (counts.diagonal().sum() / counts.sum()).item()
    assert accuracy == pytest.approx(recorded["accuracy"], abs=0.005)
    score = mean_iou_of(counts, datamodule.ignored_classes).item() if victim.task == "segmentation" else accuracy
    assert score == pytest.approx(recorded.get("miou", accuracy), abs=0.01)
    assert score > least
