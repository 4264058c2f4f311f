"""What a resumed training run needs to be as an uninterrupted one: the noise of its epochs, and its time."""

import time

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback


class NoiseByEpoch(Callback):
    """Seeds the noise of an epoch by its number, so that a resumed run draws what an uninterrupted one draws."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Seed torch's generator."""
        torch.manual_seed(self.seed * 1_000_003 + trainer.current_epoch * 1009 + trainer.global_rank)


class Stopwatch(Callback):
    """Counts the seconds of a run, with those of the epochs that were done before it was resumed."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.started

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint keeps."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on counting from there."""
        self.started = time.monotonic() - state_dict["seconds"]
