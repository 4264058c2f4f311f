"""What the attack stages of images and of points have in common."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

import pyarrow as pa
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from pytorch_lightning import LightningModule

from lgm_bench.evaluation.store.record import Preflight
from lgm_bench.evaluation.store.samples import ExampleCloud, SavedCloud, SavedImage


class Sink(Protocol):
    """Takes what a stage produces, in the process where it was produced."""

    def checked(self, checks: Preflight) -> None:
        """The pre-flight checks, in the first process."""

    def example(self, sample: SavedImage | ExampleCloud) -> None:
        """One of the samples that are kept as examples, before the rows of its batch."""

    def attacked(self, sample: SavedImage | SavedCloud) -> None:
        """A sample after the attack, before the rows of its batch; only where all of them are to be kept."""

    def finished(self, rows: pa.Table, seconds: float) -> None:
        """The rows of one finished batch, with the schema of their task, and how long it took."""

    def iteration(self, i: int, steps: int, n: int) -> None:
        """Iteration `i` of `steps` of the attack on the current batch of `n` samples is done."""


def probe_on(stage: LightningModule, probe: Any) -> Any:
    """Return samples (a named tuple with the inputs first) on a stage's device, in the precision of its batches."""
    moved = move_data_to_device(probe, stage.device)
    return stage.trainer.precision_plugin.convert_input(moved)


def repeatable() -> AbstractContextManager[None]:
    """Return a context in which a GPU computes the same bits every time, in full float32."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    return flags
