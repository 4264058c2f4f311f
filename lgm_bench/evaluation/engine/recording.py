"""Making a cell's record from its rows, checked against the metrics of the processes."""

import math
from collections.abc import Mapping, Set
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from datamodules.samples_datamodule import SamplesDataModule
from lgm_bench.errors import DataError, ResultError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.compute import Job
from lgm_bench.evaluation.engine.finished import own_sources
from lgm_bench.evaluation.engine.materials import DataSet
from lgm_bench.evaluation.engine.place import RECORDED
from lgm_bench.evaluation.engine.preflight import preflight
from lgm_bench.evaluation.store.files import together
from lgm_bench.evaluation.store.provenance import versions
from lgm_bench.evaluation.store.record import CellResult, Checks, RunRecord
from lgm_bench.evaluation.store.rows import loss_of, merged
from lgm_bench.evaluation.store.tally import Tally, figures_of
from lgm_bench.tasks.adapter import adapter_named


def recorded(job: Job, figures: Mapping[str, float], *, processes: int) -> CellResult:
    """Make a cell's record from its rows, keep it, and return it.

    `figures` are the metrics over the samples that this run computed in all processes.

    Raises:
        ResultError: The rows are of other samples, or the metrics disagree with them.
        CannotWriteError: The record cannot be written.
    """
    data, target, options = job.data, job.target, job.options
    parts = job.store.parts(data.ids)
    rows = merged([part.rows for part in parts], data.ids)
    require_agreement(figures, rows, job.done)
    adapter = adapter_named(data.datamodule.task, data.datamodule.ignored_classes)
    checks = job.store.checks() or preflight(target.victim, adapter, data.probe, job.gradient, job.attack)
    about = together(parts)
    _require_same(data, job.cell)
    wanted = data.ids[: checks.masking_samples]
    result = CellResult(
        cell=job.cell,
        fingerprint=job.store.fingerprint,
        n_samples=len(data.ids),
        **figures_of(rows, job.cell, data.datamodule.class_names),
        checks=Checks(
            **dict(checks),
            loss_of_the_steps=loss_of(rows, wanted),
            within_bounds=pc.all(rows.column("within_bounds")).as_py(),
        ),
        slopes=(dict(job.gradient.slope) or None) if isinstance(job.gradient.slope, Mapping) else None,
        folded=job.fold,
        backend=None if rows.column("gflops").null_count == len(rows) else options.backend,
        checkpoint_sha256=target.sha256,
        trained_on=target.trained_on,
        data_sha256=data.sha256,
        content_sha256=data.basis,
        sources=own_sources(job.cell),
        versions=versions(),
        git_commit=about.commit,
        device="; ".join(about.devices),
        precision=RECORDED[options.precision],
        run=RunRecord(batch_size=data.datamodule.batch_size, processes=processes, accelerator=options.accelerator),
        finished_at=datetime.now().astimezone().isoformat(timespec="seconds"),
        wall_time_s=about.seconds,
        peak_memory=about.peak.memory,
        peak_gpu_memory=about.peak.gpu_memory,
    )
    job.store.finish(result, rows, parts)
    return result


def _require_same(data: DataSet, cell: Cell) -> None:
    """Raise DataError if samples changed while they were attacked, where hashing costs less than reading them."""
    datamodule = data.datamodule
    quick = type(datamodule).content_sha256 is not SamplesDataModule.content_sha256
    if quick and datamodule.content_sha256() != data.content:
        raise DataError(f"the samples of {cell.data.name} changed while they were attacked; run this again")


def require_agreement(figures: Mapping[str, float], rows: pa.Table, done: Set[str]) -> None:
    """Check that metrics agree with a cell's rows, leaving out the samples `done` by earlier runs.

    Raises:
        ResultError: They disagree.
    """
    if not figures:
        return
    new = rows.filter(pc.invert(pc.is_in(rows.column("id"), pa.array(sorted(done), pa.string()))))
    counted = {name: value for name, value in Tally.of(new).figures().items() if value is not None}
    for name in figures.keys() | counted.keys():
        found, value = figures.get(name, math.nan), counted.get(name, math.nan)
        if not math.isclose(found, value, rel_tol=1e-9):
            raise ResultError(
                f"{name} is {found:.6f} by the metrics and {value:.6f} by the rows, so no record was written; please "
                "report this, with the cell's folder"
            )
