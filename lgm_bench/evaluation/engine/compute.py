"""Computing what is left of a cell, in this process: one of several where torch.distributed is initialised."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn

from datamodules.batch import ImageBatch, PointBatch
from datamodules.samples_datamodule import SamplesDataModule
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import build_attack, build_gradient
from lgm_bench.evaluation.engine.interruption import SignalsStay
from lgm_bench.evaluation.engine.launch import JoinedEnvironment, Place
from lgm_bench.evaluation.engine.point_stage import PointStage
from lgm_bench.evaluation.engine.precision import SINGLE
from lgm_bench.evaluation.engine.sink import Event, StoreSink
from lgm_bench.evaluation.engine.stage import AttackStage
from lgm_bench.evaluation.store.samples import N_EXAMPLES
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.leaded import hard_forward
from lgm_bench.sparse.backends import NATIVE, use_backend
from victims.folding import folded
from victims.point_victim import PointVictim

_LAST_DIGITS = 1e-4  # relative to the largest logit: what folding may change in float32


@dataclass(frozen=True)
class Job:
    """What is left to compute of a cell.

    Attributes:
        cell: The resolved cell.
        fingerprint: See `Cell.fingerprint`.
        out: Results folder.
        done: Ids of the samples that are finished.
        fold: Whether batch norm is folded into the victim's convolutions.
        probe: Samples for the pre-flight checks; None if they have been made.
        accelerator: Lightning's name of the accelerator.
        devices: Number of processes.
        data_root: Folder of the data set.
        batch_size: Samples per batch and process; None for the data set's default.
        weights: What `weights_sha256` has to give for the victim.
        save_adversarial: Whether all attacked inputs are kept.
        backend: What computes sparse convolutions.
        precision: Lightning's name of the floating point numbers.
    """

    cell: Cell
    fingerprint: str
    out: Path
    done: frozenset[str]
    fold: bool
    probe: ImageBatch | PointBatch | None
    accelerator: str
    devices: int
    data_root: Path | str | None
    batch_size: int | None
    weights: str
    save_adversarial: bool = False
    backend: str = NATIVE
    precision: str = SINGLE

    @property
    def store(self) -> CellStore:
        """The cell's folder."""
        return CellStore(self.out, self.cell.title, self.fingerprint)


def compute(
    job: Job,
    victim: nn.Module,
    data: SamplesDataModule,
    tell: Callable[[Event], None],
    place: Place | None = None,
) -> dict[str, float]:
    """Attack the samples that are left, or this process's share of them, and keep their rows in the cell's folder.

    Args:
        job: What to do.
        victim: The cell's victim, on the CPU.
        data: The cell's datamodule; its `done` is set.
        tell: Takes news.
        place: Which process this is, if something else than lgm-bench started it.

    Returns:
        The metrics of this run's samples, over all processes (see `AttackStage`).
    """
    data.done = set(job.done)
    if job.fold:
        victim = folded(victim)
    elif data.task == "images":
        victim = victim.to(memory_format=torch.channels_last)
    with _quiet(), use_backend(job.backend):
        trainer = pl.Trainer(
            accelerator=job.accelerator,
            strategy="ddp" if job.devices > 1 else "auto",
            precision=cast(Any, job.precision),
            **_layout(job, place),
            inference_mode=False,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[SignalsStay()],
        )
        sink = StoreSink(job.store, trainer.strategy.root_device, tell, data.class_names)
        stage = _stage(job, victim, data, sink)
        metrics = trainer.test(stage, datamodule=data, verbose=False)
    return dict(metrics[0])


def _layout(job: Job, place: Place | None) -> dict[str, Any]:
    """Return what tells Lightning which processes there are: never what it finds in the environment by itself."""
    if place is None:
        return {"devices": job.devices, "plugins": [LightningEnvironment()]}  # `Workers` has said who is who
    joined = JoinedEnvironment(place, job.devices)
    return {"devices": joined.devices(job.accelerator), "num_nodes": job.devices, "plugins": [joined]}


def _stage(job: Job, victim: nn.Module, data: SamplesDataModule, sink: StoreSink) -> pl.LightningModule:
    """Return what attacks the samples of a job's data set.

    Raises:
        ConfigError: The attack is not for such samples.
    """
    attack, gradient = build_attack(job.cell), build_gradient(job.cell)
    ids = data.sample_ids()
    n, examples, save = len(ids), frozenset(ids[:N_EXAMPLES]), job.save_adversarial
    if attack.inputs == "points" and isinstance(victim, PointVictim) and data.task != "images":
        points = cast(PointBatch | None, job.probe)
        return PointStage(
            victim,
            attack,
            gradient,
            data.ignored_classes,
            sink=sink,
            probe=points,
            examples=examples,
            save_adversarial=save,
            n_samples=n,
        )
    if attack.inputs == "images" and data.task == "images":
        images = cast(ImageBatch | None, job.probe)
        return AttackStage(
            victim,
            attack,
            gradient,
            targeted=job.cell.attack.targeted,
            sink=sink,
            probe=images,
            examples=examples,
            save_adversarial=save,
            history=job.cell.history,
            n_samples=n,
        )
    cell = job.cell
    raise ConfigError(
        f"attack {cell.attack.name!r}, victim {cell.victim.name!r} and data set {cell.data.name!r} do not go together: "
        "one is for images, another for points"
    )


def may_fold(victim: nn.Module, probe: ImageBatch) -> bool:
    """Return whether folding changes the last digits only: same decisions, logits within rounding.

    It is so for every network whose batch norms act on their convolutions as their names and order say; networks of
    users' own are thereby checked.
    """
    logits, decisions = hard_forward(victim, probe.images)
    new_logits, new_decisions = hard_forward(folded(victim), probe.images)
    close = (logits - new_logits).abs().max() <= _LAST_DIGITS * logits.abs().max()
    same = len(decisions) == len(new_decisions) and all(map(torch.equal, decisions, new_decisions))
    return bool(close) and same


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning from telling what hardware there is, once for every cell."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*It is recommended to use `self.log.*")  # torchmetrics merged them
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")  # of Lightning, about torch
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
