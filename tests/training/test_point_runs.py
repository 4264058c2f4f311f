"""Training on points: resumed runs, what is logged and recorded, and that it learns."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from datamodules.batch import IGNORED, PointBatch
from datamodules.loaders import ShuffledLoader
from datamodules.point_datamodule import PointDataModule
from datamodules.scene import Scene
from lgm_bench.training.callbacks import read_epochs
from lgm_bench.training.runs import LAST, METRICS, RECORD, train
from victims import load_victim
from victims.training.recipe import Recipe

ROOMS = Recipe(objective="segmentation", epochs=3, batch_size=2, learning_rate=0.01, optimizer="adamw")
SHAPES = ROOMS.model_copy(update={"objective": "cross_entropy"})


class StopError(Exception):
    """Whatever a training may die of."""


class TinyPoints(PointDataModule):
    """Six scenes of 200 points to train on, two to validate; a scene is told by its colour, a shape by its size."""

    class_names = ("low", "high")
    num_classes = 2
    subsets = ("test", "train", "holdout")

    def __init__(self, task: str, stop_in_epoch: int = -1) -> None:
        self.task, self.name = task, f"tiny-{task}"
        super().__init__(Path("nowhere"), 2, None, "test", seed=0)
        self.stop_in_epoch = stop_in_epoch

    def list_ids(self, subset: str) -> list[str]:
        first, last = {"train": (0, 8), "holdout": (6, 8), "test": (8, 10)}[subset]
        return [str(number) for number in range(first, last)]

    def file(self, scene_id: str) -> Path:
        return self.data_root / scene_id

    def read(self, scene_id: str) -> Scene:
        number = int(scene_id)
        points = np.random.default_rng(number).uniform(-1, 1, (200, 3)).astype(np.float32)
        if self.task == "classification":
            return Scene(points * (0.3 + 0.7 * (number % 2)), np.empty((200, 0), np.float32), np.array([number % 2]))
        labels = (points[:, 2] > 0).astype(np.int64)
        colours = np.repeat(labels[:, None], 3, axis=1).astype(np.float32)
        labels[:20] = IGNORED
        return Scene(points, colours, labels)

    def train_dataloader(self) -> ShuffledLoader[PointBatch]:
        loader = super().train_dataloader()
        loader.__class__ = StoppingLoader
        loader.stop_in_epoch = self.stop_in_epoch
        return loader


class StoppingLoader(ShuffledLoader[PointBatch]):
    """Breaks off in the middle of an epoch."""

    stop_in_epoch: int

    def __iter__(self) -> Iterator[PointBatch]:
        for number, batch in enumerate(super().__iter__()):
            if self.order.epoch == self.stop_in_epoch and number == 1:
                raise StopError
            yield batch


def run(name: str, out: Path, recipe: Recipe, stop_in_epoch: int = -1) -> Path:
    victim = load_victim(name, "random", seed=1)
    data = TinyPoints(victim.task, stop_in_epoch)
    return train(victim, data, recipe, out, name=name, seed=1, accelerator="cpu", progress=False)


CASES = [
    ("minkunet14-s3dis", ROOMS),
    ("minkunet14-scannet", ROOMS.model_copy(update={"optimizer": "sgd", "lovasz_weight": 0.0})),
    ("minknet-small-modelnet40", SHAPES),
]


@pytest.mark.parametrize(("name", "recipe"), CASES, ids=[name for name, _ in CASES])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(name: str, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        run(name, tmp_path / "stopped", recipe, stop_in_epoch=1)
    assert (tmp_path / "stopped" / LAST).exists()
    resumed, whole = run(name, tmp_path / "stopped", recipe), run(name, tmp_path / "whole", recipe)
    first, second = load_file(resumed), load_file(whole)
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert read_epochs(resumed.parent / METRICS) == read_epochs(whole.parent / METRICS)
    assert load_victim(name, whole).task == ("segmentation" if recipe.objective == "segmentation" else "classification")


def test_the_record_says_the_data_and_the_figures(tmp_path: Path) -> None:
    record = json.loads((run("minkunet14-s3dis", tmp_path, ROOMS).parent / RECORD).read_text())
    assert record["data"] == {"name": "tiny-segmentation", "training": 6, "validation": 2}
    assert record["recipe"]["optimizer"] == "adamw"
    assert {"accuracy", "miou", "cross_entropy", "lovasz", "loss"} <= set(record["epochs"][-1])
    again = load_victim("minkunet14-s3dis", tmp_path / "weights.safetensors")
    assert record["epochs"][-1] | measured(again, "segmentation") == record["epochs"][-1]


def measured(victim, task: str) -> dict[str, float]:
    """Accuracy and mIoU of the two held-out scenes, counted by NumPy."""
    data = TinyPoints(task)
    predicted, labels = [], []
    for batch in data.val_dataloader():
        with torch.no_grad():
            predicted.append(victim(batch.cloud).argmax(1).numpy())
        labels.append(batch.labels.numpy())
    predicted, labels = np.concatenate(predicted), np.concatenate(labels)
    kept = labels != IGNORED
    predicted, labels = predicted[kept], labels[kept]
    ious = [
        ((predicted == c) & (labels == c)).sum() / ((predicted == c) | (labels == c)).sum()
        for c in np.union1d(labels, predicted)
    ]
    return {
        "accuracy": pytest.approx((predicted == labels).mean(), abs=1e-6),
        "miou": pytest.approx(np.mean(ious), abs=1e-6),
    }


@pytest.mark.parametrize(("name", "recipe"), CASES[::2], ids=["rooms", "shapes"])
def test_it_learns(name: str, recipe: Recipe, tmp_path: Path) -> None:
    run(name, tmp_path, recipe.model_copy(update={"epochs": 12}))
    epochs = read_epochs(tmp_path / METRICS)
    assert epochs[-1]["loss"] < 0.7 * epochs[0]["loss"]
    assert epochs[-1]["accuracy"] > 0.9
    assert ("miou" in epochs[-1]) == (recipe.objective == "segmentation")
