"""A training that Lightning resumes sees the batches that it would have seen without the interruption."""

from pathlib import Path

import pytest
import torch
from miniatures import write_cifar10
from pytorch_lightning import LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint

from datamodules.batch import ImageBatch
from datamodules.cifar10 import CIFAR10DataModule

EPOCHS, BATCHES = 3, 4


class Recorder(LightningModule):
    """Notes what every training step is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[str], float]] = []

    def training_step(self, batch: ImageBatch) -> torch.Tensor:
        self.seen.append((self.current_epoch, batch.ids, batch.images.double().cumsum(-1).sum().item()))
        return self.weight * 1.0

    def validation_step(self, batch: ImageBatch) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(root: Path, folder: Path, resume_from: Path | None = None, **when) -> Recorder:
    module = Recorder()
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(folder, filename="{epoch}-{step}", save_top_k=-1, **when)],
    )
    datamodule = CIFAR10DataModule(root, batch_size=8, holdout=8, verify=False, seed=5)
    trainer.fit(module, datamodule=datamodule, ckpt_path=resume_from)
    return module


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize(
    "when",
    [
        {"every_n_train_steps": 1},
        {"every_n_epochs": 1, "save_on_train_epoch_end": True},
        {"every_n_epochs": 1, "save_on_train_epoch_end": False},
    ],
    ids=["after a step", "after an epoch", "after validation"],
)
def test_resumed_training_continues_as_if_uninterrupted(tmp_path: Path, when: dict) -> None:
    root = write_cifar10(tmp_path / "cifar10")
    whole = trained(root, tmp_path / "checkpoints", **when).seen
    assert len(whole) == EPOCHS * BATCHES
    epochs = [[step[1] for step in whole if step[0] == epoch] for epoch in range(EPOCHS)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    checkpoints = sorted((tmp_path / "checkpoints").iterdir())
    assert len(checkpoints) == (EPOCHS * BATCHES if "every_n_train_steps" in when else EPOCHS)
    for checkpoint in checkpoints:
        steps = int(checkpoint.stem.split("step=")[1])
        seed_everything(1000 + steps)  # the global generators are not what continues
        resumed = trained(root, tmp_path / "again" / str(steps), checkpoint, **when).seen
        assert resumed == whole[steps:], f"after {steps} steps"
