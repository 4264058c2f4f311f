"""Callbacks that make a resumed training run equal an uninterrupted one: its noise, its time and its log."""

import csv
import io
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lgm_bench.files import write_whole


class NoiseByEpoch(Callback):
    """Seeds the noise of every epoch by its number, so that a resumed run draws the same noise."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Seed torch's generator."""
        torch.manual_seed(self.seed * 1_000_003 + trainer.current_epoch * 1009 + trainer.global_rank)


class Stopwatch(Callback):
    """Counts the seconds of a run, including those before it was resumed."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.started

    def state_dict(self) -> dict[str, float]:
        """Return the seconds for the checkpoint."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Continue from the seconds of a checkpoint."""
        self.started = time.monotonic() - state_dict["seconds"]


class EpochLog(Callback):
    """Writes the values that the module logged to the CSV file `path`, one row per epoch.

    Lightning's own CSV logger deletes the rows of a resumed run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Read the rows of finished epochs."""
        rows = read_epochs(self.path) if self.path.exists() else []
        self.rows = [row for row in rows if row["epoch"] < trainer.current_epoch]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Add the epoch's row."""
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": trainer.current_epoch, **logged})
        if trainer.is_global_zero:
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, list(dict.fromkeys(name for row in self.rows for name in row)))
            writer.writeheader()
            writer.writerows(self.rows)
            write_whole(self.path, text.getvalue().encode())


def read_epochs(path: Path) -> list[dict[str, float]]:
    """Return the rows of a file that `EpochLog` has written."""
    with path.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [row | {"epoch": int(row["epoch"])} for row in rows]
