"""The log of a training run: one row of a CSV file an epoch, kept when the run is resumed."""

import csv
import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from lgm_bench.files import write_whole


class EpochLog(Callback):
    """Appends what the module logged in an epoch. (Lightning's own CSV logger deletes the rows of a resumed run.)

    Args:
        path: The file; it is written anew, whole, after every epoch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Read the rows of the epochs that are done."""
        rows = read_epochs(self.path) if self.path.exists() else []
        self.rows = [row for row in rows if row["epoch"] < trainer.current_epoch]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Add the epoch's row."""
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": trainer.current_epoch, **logged})
        if trainer.is_global_zero:
            _write(self.path, self.rows)


def read_epochs(path: Path) -> list[dict[str, float]]:
    """Return the rows of such a file."""
    with path.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [row | {"epoch": int(row["epoch"])} for row in rows]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())
