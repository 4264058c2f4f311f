"""Computing this process's share of what is left of a cell, and the figures over the shares of all processes."""

import logging
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
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import build_attack
from lgm_bench.evaluation.engine.launch import SignalsStay
from lgm_bench.evaluation.engine.materials import DataSet, Target
from lgm_bench.evaluation.engine.progress import Progress
from lgm_bench.evaluation.engine.sink import Sink
from lgm_bench.evaluation.engine.stage import AttackStage
from lgm_bench.evaluation.store.samples import N_EXAMPLES
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.leaded import GradientMethod
from lgm_bench.tasks.adapter import adapter_named
from lgm_bench.tasks.base import Task
from lgm_bench.tasks.metric import Metric
from victims.folding import folded


@dataclass(frozen=True)
class Options:
    """Options of `run_cells` that every cell needs; see there. The precision is Lightning's full name of it."""

    out: Path
    accelerator: str
    backend: str
    precision: str
    save_adversarial: bool
    fresh: bool


@dataclass(frozen=True)
class Job:
    """What is left to compute of a cell.

    Attributes:
        cell: The resolved cell.
        store: Its folder.
        data: Its samples.
        target: Its victim.
        options: Of the run.
        done: Ids of the samples that are finished.
        fold: Whether batch norm is folded into the victim's convolutions.
        gradient: The gradient method, with a slope for every unit.
        probes: Whether this process makes the pre-flight checks.
        local_rank: Which device of the accelerator to use, if there are several.
    """

    cell: Cell
    store: CellStore
    data: DataSet
    target: Target
    options: Options
    done: frozenset[str]
    fold: bool
    gradient: GradientMethod
    probes: bool
    local_rank: int


def compute(job: Job, progress: Progress) -> MetricCollection:
    """Attack this process's share of the samples that are left, and keep their rows in the cell's folder.

    Processes do not wait for each other here: one that fails must not leave others waiting.

    Args:
        job: What to do.
        progress: Gets every batch and iteration.

    Returns:
        The task's figures of this process's share.
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
    with _quiet():
        trainer = pl.Trainer(
            accelerator=options.accelerator,
            devices=[job.local_rank % gpus] if gpus else 1,
            plugins=[LightningEnvironment()],  # for Lightning, this process is alone
            precision=cast(Any, options.precision),
            inference_mode=False,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[SignalsStay()],
        )
        figures = figures_across(adapter.task, getattr(network, "num_classes", data.num_classes))
        sink = Sink(job.store, trainer.strategy.root_device, progress, figures, data.class_names)
        stage = AttackStage(
            network,
            build_attack(job.cell),
            job.gradient,
            adapter,
            sink,
            targeted=job.cell.attack.targeted,
            probe=job.data.probe if job.probes else None,
            examples=frozenset(job.data.ids[:N_EXAMPLES]),
            save_adversarial=options.save_adversarial,
            history=job.cell.history,
            n_samples=len(job.data.ids),
        )
        try:
            if len(data.test_sampler()):  # for a datamodule, Lightning would wait for the other processes
                trainer.test(stage, dataloaders=data.test_dataloader(), verbose=False)
        except BaseException:
            sink.write(report=False)
            raise
        sink.write()
    return figures


class FigureOfRows(torchmetrics.Metric):
    """A figure of rows; the sum of what they contribute is its only state.

    The state has its size from the start, so that a process without any sample can be merged with the others.

    Args:
        metric: What is measured.
        num_classes: Of the victim; 0 where no figure needs it.
    """

    full_state_update = False
    is_differentiable = False
    sums: Tensor

    def __init__(self, metric: Metric, num_classes: int = 0) -> None:
        super().__init__()
        self.metric = metric
        size = 2 * num_classes if metric.per_class else 2
        self.add_state("sums", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, rows: pa.Table) -> None:
        """Add rows of the metric's task."""
        self.sums += torch.from_numpy(self.metric.parts(rows).sum(axis=0)).to(self.sums)

    def compute(self) -> Tensor:
        """Return the figure, float64; NaN where there is none."""
        return torch.tensor(float(self.metric.value(self.sums.cpu().numpy())), dtype=torch.float64)


def figures_across(task: type[Task], num_classes: int = 0) -> MetricCollection:
    """Return all figures of a task, by name; see `FigureOfRows`."""
    figures: dict[str, torchmetrics.Metric | MetricCollection] = {
        metric.name: FigureOfRows(metric, num_classes) for metric in task.metrics
    }
    return MetricCollection(figures, compute_groups=False)


def merged_figures(figures: MetricCollection) -> dict[str, float]:
    """Return the figures that have a value, over the rows of all processes, all of which have to call this."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*compute.* method of metric .* was called before", UserWarning)
        return {name: value.item() for name, value in figures.compute().items() if not value.isnan()}


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
