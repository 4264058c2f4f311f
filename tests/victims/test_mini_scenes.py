"""The shipped miniature victims of indoor scenes: verified weights, and the figures of their training records."""

import json
from pathlib import Path

import pytest
import torch

from datamodules import load_datamodule
from lgm_bench.voxels import IGNORED
from victims import checkpoint_id, load_victim
from victims.checkpoints import sha256_of, shipped_store

NAMES = ("minkunet-scannet-mini", "minkunet-s3dis-mini")
KILOBYTES = 720


def record_of(name: str) -> dict:
    entry = shipped_store().ready(name)
    assert entry is not None
    return json.loads((shipped_store().folder / str(entry.training)).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_registered_file_is_the_one_that_was_trained(name: str) -> None:
    entry, record = shipped_store().ready(name), record_of(name)
    path = shipped_store().folder / str(entry.file)
    assert sha256_of(path) == entry.sha256 == record["sha256"] == checkpoint_id(name)
    assert path.stat().st_size < KILOBYTES * 1000
    assert (record["victim"], record["data"]["name"]) == (name, name.removeprefix("minkunet-"))
    assert (len(record["epochs"]), record["data"]["training"]) == (record["recipe"]["epochs"], 48)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_clean_miou_is_that_of_the_training_record(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path))
    record, victim = record_of(name)["test"], load_victim(name)
    datamodule = load_datamodule(name.removeprefix("minkunet-"))
    datamodule.setup("test")
    both = points = labelled = torch.zeros(victim.num_classes)
    for batch in datamodule.test_dataloader():
        predicted, kept = victim(batch.cloud).argmax(1), batch.labels != IGNORED
        hits = batch.labels[kept][predicted[kept] == batch.labels[kept]]
        both = both + hits.bincount(minlength=victim.num_classes)
        points = points + batch.labels[kept].bincount(minlength=victim.num_classes)
        labelled = labelled + predicted[kept].bincount(minlength=victim.num_classes)
    unions = points + labelled - both
    iou = (both / unions)[unions > 0]
    assert int(points.sum()) == record["n_points"]
    assert iou.tolist() == pytest.approx(list(record["iou"].values()), abs=0.005)
    assert iou.mean().item() == pytest.approx(record["miou"], abs=0.005)
    assert iou.mean() > 0.7
