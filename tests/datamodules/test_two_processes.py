"""Shares of two real processes (gloo), also through Lightning's Trainer, which may replace samplers."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import free_port, together
from miniatures import write_cifar10, write_imagenet
from pytorch_lightning import LightningModule, Trainer
from street_and_shape_files import write_semantickitti
from torch import distributed

from datamodules.batch import ImageBatch, PointBatch
from datamodules.cifar10 import CIFAR10DataModule
from datamodules.imagenet import ImageNetDataModule
from datamodules.samples_datamodule import SamplesDataModule
from datamodules.semantickitti import SemanticKITTIDataModule

CIFAR = {"verify": False, "holdout": 7, "batch_size": 2}


class Recorder(LightningModule):
    """Notes the ids that this process is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.ids: list[str] = []

    def training_step(self, batch: ImageBatch | PointBatch) -> torch.Tensor:
        self.ids += batch.ids
        return self.weight * 1.0

    def test_step(self, batch: ImageBatch | PointBatch) -> None:
        self.ids += batch.ids

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(**options: Any) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", devices=2, strategy="ddp", enable_checkpointing=False, **quiet, **options)


def ids_given(datamodule: SamplesDataModule, done: set[str] | None = None) -> list[str]:
    datamodule.done = done or set()
    module = Recorder()
    trainer().test(module, datamodule=datamodule, verbose=False)
    return module.ids


def share(rank: int, folder: Path, port: str) -> None:
    """Write what this process is given in every case to rank-<rank>.json."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    cifar, imagenet = folder / "cifar10", folder / "imagenet"
    module = Recorder()
    training = trainer(max_epochs=2, limit_val_batches=0)
    training.fit(module, datamodule=CIFAR10DataModule(cifar, **CIFAR))
    given = {
        "cifar odd": ids_given(CIFAR10DataModule(cifar, **CIFAR)),
        "cifar fewer than ranks": ids_given(CIFAR10DataModule(cifar, limit=1, **CIFAR)),
        "cifar resumed": ids_given(CIFAR10DataModule(cifar, **CIFAR), {"test-00002", "test-00003", "test-00006"}),
        "cifar finished": ids_given(CIFAR10DataModule(cifar, limit=2, **CIFAR), {"test-00000", "test-00001"}),
        "imagenet odd": ids_given(ImageNetDataModule(imagenet, batch_size=2)),
        "imagenet fewer than ranks": ids_given(ImageNetDataModule(imagenet, batch_size=2, limit=1)),
        "imagenet resumed": ids_given(ImageNetDataModule(imagenet), {"n01440764/a", "n01440764/b", "n02123045/c"}),
        "kitti odd": ids_given(SemanticKITTIDataModule(folder / "kitti", batch_size=2)),
        "kitti resumed": ids_given(SemanticKITTIDataModule(folder / "kitti"), {"08/000001", "08/000002"}),
        "training": module.ids,
    }
    distributed.barrier()  # the last that the two have in common; leaving the group may block where torch is old
    (folder / f"rank-{rank}.json").write_text(json.dumps(given))


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[str]]]:
    folder = tmp_path_factory.mktemp("two processes")
    write_cifar10(folder / "cifar10", train=20, test=7)
    write_imagenet(folder / "imagenet", [f"n0{synset}/{name}.png" for synset in (1440764, 2123045) for name in "abc"])
    (folder / "imagenet" / "val" / "n02123045" / "b.png").unlink()
    write_semantickitti(folder / "kitti", {"08": 5})
    together(share, folder, free_port())
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


def place_ids(*places: int) -> list[str]:
    return [f"test-{place:05d}" for place in places]


A1, A2, B1, C2, C1 = "n01440764/a", "n02123045/a", "n01440764/b", "n02123045/c", "n01440764/c"


@pytest.mark.parametrize(
    ("case", "first", "second"),
    [
        ("cifar odd", place_ids(0, 2, 4, 6), place_ids(1, 3, 5)),
        ("cifar fewer than ranks", place_ids(0), []),
        ("cifar resumed", place_ids(0, 4), place_ids(1, 5)),
        ("cifar finished", [], []),
        ("imagenet odd", [A1, B1, C1], [A2, C2]),
        ("imagenet fewer than ranks", [A1], []),
        ("imagenet resumed", [C1], [A2]),
        ("kitti odd", ["08/000000", "08/000002", "08/000004"], ["08/000001", "08/000003"]),
        ("kitti resumed", ["08/000000", "08/000004"], ["08/000003"]),
    ],
)
def test_every_image_is_given_to_one_process_once(shares, case: str, first: list[str], second: list[str]) -> None:
    assert [share[case] for share in shares] == [first, second]


def test_training_shares_are_equal_and_disjoint_in_every_epoch(shares) -> None:
    first, second = (share["training"] for share in shares)
    assert len(first) == len(second) == 2 * 6
    for epoch in (slice(0, 6), slice(6, 12)):
        together = first[epoch] + second[epoch]
        assert len(set(together)) == 12
        assert set(together) <= {f"train-{place:05d}" for place in range(13)}
    assert first[:6] != first[6:]
