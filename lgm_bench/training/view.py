"""Progress of a training run: one line per epoch, and on a terminal a bar with the time left."""

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lgm_bench.evaluation.wording import clock, time_left

SHARES = {
    "accuracy": "accuracy",
    "pgd_accuracy": "under PGD",
    "always_on_accuracy": "with every gate on",
    "miou": "mIoU",
    "executed_units": "executed",
    "decided_by_image": "decided by the image",
}


class TrainingView(Callback):
    """Prints a line per epoch, and on a terminal shows a bar over all epochs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.bar = self.progress.add_task("training", total=None, state="")
        self.started, self.first, self.total, self.done = 0.0, 0, 1, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start the bar where an earlier run stopped."""
        self.started = time.monotonic()
        self.total = (trainer.max_epochs or 0) * int(trainer.num_training_batches)
        self.first = self.done = trainer.current_epoch * int(trainer.num_training_batches)
        if trainer.current_epoch:
            self._line(f"resumed after epoch {trainer.current_epoch} of {trainer.max_epochs}")
        if trainer.is_global_zero:
            self.progress.update(self.bar, total=self.total, completed=self.done)
            self.progress.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Move the bar."""
        self.done = trainer.current_epoch * int(trainer.num_training_batches) + batch_idx + 1
        state = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {self._left()} left"
        self.progress.update(self.bar, completed=self.done, state=state)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Print the figures of the epoch, with those of the validation."""
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        words = [f"loss {figures['loss']:.4f}"] if "loss" in figures else []
        words += [f"{word} {figures[name]:.2%}" for name, word in SHARES.items() if name in figures]
        if trainer.is_global_zero:
            elapsed = clock(time.monotonic() - self.started)
            self._line(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {', '.join(words)}"
                f"  ({elapsed}, {self._left()} left)"
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Remove the bar."""
        self.progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Remove the bar."""
        self.progress.stop()

    def _left(self) -> str:
        return time_left(time.monotonic() - self.started, self.done - self.first, self.total - self.done)

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
