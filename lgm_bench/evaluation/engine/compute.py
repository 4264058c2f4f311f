"""Computing this process's share of what is left of a cell."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn
from torchmetrics import MetricCollection

from datamodules.samples_datamodule import SamplesDataModule
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.across import figures_across
from lgm_bench.evaluation.engine.building import build_attack
from lgm_bench.evaluation.engine.interruption import SignalsStay
from lgm_bench.evaluation.engine.sink import Event, StoreSink
from lgm_bench.evaluation.engine.stage import AttackStage
from lgm_bench.evaluation.store.samples import N_EXAMPLES
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.leaded import GradientMethod, hard_forward
from lgm_bench.tasks.adapter import adapter_named
from lgm_bench.tasks.base import task_named
from victims.folding import folded

_LAST_DIGITS = 1e-4  # relative to the largest logit: what folding may change in float32


@dataclass(frozen=True)
class Job:
    """What is left to compute of a cell.

    Attributes:
        cell: The resolved cell.
        store: Its folder.
        victim: Its victim, on the CPU.
        data: Its samples.
        done: Ids of the samples that are finished.
        fold: Whether batch norm is folded into the victim's convolutions.
        gradient: The gradient method, with a slope for every unit.
        probe: Samples for the pre-flight checks; None if another process makes them or they have been made.
        accelerator: Lightning's name of the accelerator.
        local_rank: Which of its devices to use, if there are several.
        precision: Lightning's name of the floating point numbers.
        save_adversarial: Whether all attacked inputs are kept.
    """

    cell: Cell
    store: CellStore
    victim: nn.Module
    data: SamplesDataModule
    done: frozenset[str]
    fold: bool
    gradient: GradientMethod
    probe: Any
    accelerator: str
    local_rank: int
    precision: str
    save_adversarial: bool


def compute(job: Job, tell: Callable[[Event], None]) -> MetricCollection:
    """Attack this process's share of the samples that are left, and keep their rows in the cell's folder.

    Processes do not wait for each other here: one that fails must not leave others waiting.

    Args:
        job: What to do.
        tell: Is told of every batch and iteration.

    Returns:
        The task's figures of this process's share.
    """
    job.data.done = set(job.done)
    victim = job.victim
    if job.fold:
        victim = folded(victim)
    elif adapter_named(job.data.task).folds:
        victim = victim.to(memory_format=torch.channels_last)
    gpus = torch.cuda.device_count() if job.accelerator in ("gpu", "cuda") else 0
    with _quiet():
        trainer = pl.Trainer(
            accelerator=job.accelerator,
            devices=[job.local_rank % gpus] if gpus else 1,
            plugins=[LightningEnvironment()],  # Lightning need not know of the other processes
            precision=cast(Any, job.precision),
            inference_mode=False,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[SignalsStay()],
        )
        figures = figures_across(task_named(job.data.task), getattr(victim, "num_classes", job.data.num_classes))
        sink = StoreSink(job.store, trainer.strategy.root_device, tell, figures, job.data.class_names)
        stage = _stage(job, victim, sink)
        try:
            if len(job.data.test_sampler()):  # for a datamodule, Lightning would wait for the other processes
                trainer.test(stage, dataloaders=job.data.test_dataloader(), verbose=False)
        except BaseException:
            sink.write(tell=False)
            raise
        sink.write()
    return figures


def _stage(job: Job, victim: nn.Module, sink: StoreSink) -> AttackStage:
    """Return what attacks the samples of a job's data set."""
    data, ids = job.data, job.data.sample_ids()
    return AttackStage(
        victim,
        build_attack(job.cell),
        job.gradient,
        adapter_named(data.task, data.ignored_classes),
        targeted=job.cell.attack.targeted,
        sink=sink,
        probe=job.probe,
        examples=frozenset(ids[:N_EXAMPLES]),
        save_adversarial=job.save_adversarial,
        history=job.cell.history,
        n_samples=len(ids),
    )


def may_fold(victim: nn.Module, inputs: Any) -> bool:
    """Return whether folding changes the last digits only: same decisions, logits within rounding.

    It is so for every network whose batch norms act on their convolutions as their names and order say; networks of
    users' own are thereby checked.
    """
    logits, decisions = hard_forward(victim, inputs)
    new_logits, new_decisions = hard_forward(folded(victim), inputs)
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
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")  # of Lightning, about torch
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
