"""Callbacks that make a resumed training run equal an uninterrupted one: its noise, its time and its log."""

import csv
import io
import logging
import time
from itertools import islice
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lgm_bench.attacks import PGD
from lgm_bench.attacks.standard import AlwaysOn
from lgm_bench.files import write_whole

log = logging.getLogger(__name__)


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


class PGDAccuracy(Callback):
    """Logs after every epoch how many held-out images stay right under PGD, as `pgd_accuracy`.

    A step of fast adversarial training may stop working within an epoch, while the loss goes on falling (catastrophic
    overfitting). Only an attack of several steps shows it. If the accuracy falls below half of the best epoch's, a
    warning says so.

    Args:
        eps: Half-width of the ball.
        batches: Number of held-out batches to attack.
        steps: Steps of eps / 4.
    """

    def __init__(self, eps: float, batches: int = 2, steps: int = 10) -> None:
        self.attack, self.batches, self.best = PGD(eps, eps / 4, steps), batches, 0.0

    def state_dict(self) -> dict[str, float]:
        """Return the best accuracy for the checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Continue with the best accuracy of a checkpoint."""
        self.best = state_dict["best"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attack the first held-out batches with the network's own gradient."""
        pl_module.eval()
        correct = []
        for images, labels, ids in islice(trainer.val_dataloaders or (), self.batches):
            images, labels = images.to(pl_module.device), labels.to(pl_module.device)
            attacked = self.attack.perturb(pl_module, images, labels, ids=ids)
            with torch.no_grad():
                correct.append(pl_module(attacked).argmax(dim=1) == labels)
        pl_module.train()
        accuracy = torch.cat(correct).float().mean()
        pl_module.log("pgd_accuracy", accuracy, sync_dist=True)
        if accuracy < self.best / 2:
            log.warning(
                "accuracy under PGD fell from %.1f %% to %.1f %%: the network fits the single step of its training "
                "alone; take more noise and no clipping in the recipe's adversarial settings",
                100 * self.best,
                100 * accuracy,
            )
        self.best = max(self.best, float(accuracy))


class AlwaysOnAccuracy(Callback):
    """Logs after the last epoch the accuracy on held-out images with every gate on, as `always_on_accuracy`.

    It tells what the gates cost in accuracy. Networks without gates that can all be on, such as early exits, have none.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Classify all held-out images with every gate on."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if not last or getattr(pl_module, "task", "images") != "images" or not AlwaysOn().units_of(pl_module):
            return
        pl_module.eval()
        correct = []
        with torch.no_grad(), AlwaysOn().applied_to(pl_module):
            for images, labels, _ in trainer.val_dataloaders or ():
                logits = pl_module(images.to(pl_module.device))
                correct.append(logits.argmax(dim=1) == labels.to(pl_module.device))
        pl_module.train()
        pl_module.log("always_on_accuracy", torch.cat(correct).float().mean(), sync_dist=True)


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
