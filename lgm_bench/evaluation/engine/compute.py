"""Computing this process's share of a cell's missing samples, and the figures over the shares of all processes."""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytorch_lightning as pl
import torch
import torchmetrics
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn

from datamodules.samples_datamodule import Batches
from lgm_bench.attacks.attack import Attack
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.launch import SignalsStay
from lgm_bench.evaluation.engine.materials import DataSet, Target
from lgm_bench.evaluation.engine.progress import Progress
from lgm_bench.evaluation.engine.sink import Sink
from lgm_bench.evaluation.engine.stage import AttackStage
from lgm_bench.evaluation.store.samples import n_examples
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.leaded import GradientMethod
from lgm_bench.tasks.adapter import Adapter, adapter_named
from lgm_bench.tasks.base import Task
from victims.folding import folded


@dataclass(frozen=True)
class Options:
    """Options of `run_cells` that apply to every cell. `precision` is Lightning's full name."""

    out: Path
    accelerator: str
    backend: str
    precision: str
    save_adversarial: bool
    fresh: bool


@dataclass(frozen=True)
class Job:
    """Everything that is needed to compute the missing samples of a resolved cell.

    Attributes:
        done: Ids of the samples that are finished.
        attack: The attack, after it has learned if it is one that learns.
        fold: Whether batch norm is folded into the victim's convolutions.
        gradient: The gradient method, with a slope for every unit.
        probes: Whether this process makes the pre-flight checks.
        local_rank: Number of the device to use, if there are several.
    """

    cell: Cell
    store: CellStore
    data: DataSet
    target: Target
    options: Options
    done: frozenset[str]
    attack: Attack
    fold: bool
    gradient: GradientMethod
    probes: bool
    local_rank: int


class FiguresOfRows(torchmetrics.Metric):
    """A task's figures over rows. Its state is the sum of each row's contribution.

    The state has its full size from the start, so that a process without samples can be merged with the others. Figures
    per class therefore need the victim's number of classes.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self, task: type[Task], num_classes: int = 0) -> None:
        super().__init__()
        self.task = task
        for metric in task.metrics:
            size = 2 * num_classes if metric.per_class else 2
            self.add_state(f"sum_{metric.name}", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, rows: pa.Table) -> None:
        """Add rows of the task."""
        for metric in self.task.metrics:
            sums = getattr(self, f"sum_{metric.name}")
            sums += torch.from_numpy(metric.parts(rows).sum(axis=0)).to(sums)

    def compute(self) -> dict[str, float]:
        """Return the figures that have a value, by name."""
        metrics = self.task.metrics
        figures = {metric.name: metric.figure(getattr(self, f"sum_{metric.name}").cpu().numpy()) for metric in metrics}
        return {name: value for name, value in figures.items() if value is not None}

    def merged(self) -> dict[str, float]:
        """Return the figures over the rows of all processes. Every process has to call this."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*compute.* was called before", UserWarning)  # a share may be empty
            figures: dict[str, float] = self.compute()
            return figures


def compute(job: Job, progress: Progress) -> FiguresOfRows:
    """Attack this process's share of the missing samples, and keep their rows in the cell's folder.

    Processes do not wait for each other here, so a failing process leaves no other waiting. Return the task's figures
    over this share.
    """
    data, options, victim = job.data.datamodule, job.options, job.target.victim
    data.done = set(job.done)
    adapter = adapter_named(data.task, data.ignored_classes)
    network: nn.Module = victim
    if job.fold:
        network = folded(victim)
    elif adapter.folds:
        network = victim.to(memory_format=torch.channels_last)
    gpus = torch.cuda.device_count() if options.accelerator in ("gpu", "cuda") else 0
    if not gpus:
        adapter.pass_size = adapter.fixed_pass_size(job.data.probe[0], len(job.data.ids))
        whole = adapter.pass_size or 1
        data.batch_size = whole * math.ceil(data.batch_size / whole)  # so that only the last pass is padded
    with _quiet():
        trainer = pl.Trainer(
            accelerator=options.accelerator,
            devices=[job.local_rank % gpus] if gpus else 1,
            plugins=[LightningEnvironment()],  # to Lightning, this process is the only one
            precision=cast(Any, options.precision),
            inference_mode=False,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[SignalsStay()],
        )
        figures = FiguresOfRows(adapter.task, getattr(network, "num_classes", data.num_classes))
        sink = Sink(job.store, trainer.strategy.root_device, progress, figures, data.class_names)
        stage = AttackStage(
            network,
            job.attack,
            job.gradient,
            adapter,
            sink,
            targeted=job.cell.attack.targeted,
            probe=job.data.probe if job.probes else None,
            examples=frozenset(job.data.ids[: n_examples(_sample_bytes(adapter, job.data.probe))]),
            save_adversarial=options.save_adversarial,
            history=job.cell.history,
            n_samples=len(job.data.ids),
        )
        try:
            if len(data.test_sampler()):  # with a datamodule, Lightning would wait for the others
                trainer.test(stage, dataloaders=Batches(data), verbose=False)
        except BaseException:
            sink.write(report=False)
            raise
        sink.write()
    return figures


def _sample_bytes(adapter: Adapter, probe: Any) -> float:
    """Return the mean size of what an attack changes of a sample, on the first samples of a data set."""
    inputs, _, ids = probe
    return adapter.values(inputs).nbytes / len(ids)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning from reporting the hardware for every cell."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")  # of Lightning, about torch
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
