"""Running cells: each is read from the results folder, or computed, or resumed where it was left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import build_attack, build_gradient, check_pair, printed_eps, resolved
from lgm_bench.evaluation.engine.compute import Job, compute
from lgm_bench.evaluation.engine.devices import checked_devices, processes_for
from lgm_bench.evaluation.engine.finished import fingerprint_of
from lgm_bench.evaluation.engine.interruption import interruptible
from lgm_bench.evaluation.engine.launch import Place, launched
from lgm_bench.evaluation.engine.materials import DataSet, Materials, Target
from lgm_bench.evaluation.engine.observer import Observer, SilentObserver
from lgm_bench.evaluation.engine.precision import RECORDED, SINGLE, checked_precision
from lgm_bench.evaluation.engine.preflight import preflight
from lgm_bench.evaluation.engine.ranks import LostProcessError, Ranks
from lgm_bench.evaluation.engine.sink import BatchDone, Event
from lgm_bench.evaluation.engine.worker import portable
from lgm_bench.evaluation.engine.workers import Workers
from lgm_bench.evaluation.store.part_files import Part, together
from lgm_bench.evaluation.store.provenance import versions
from lgm_bench.evaluation.store.record import CellResult, Checks, Preflight, RunRecord
from lgm_bench.evaluation.store.rows import loss_of, merged
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.evaluation.store.tally import figures_of, total
from lgm_bench.evaluation.store.writing import CannotWriteError
from lgm_bench.sparse.backends import NATIVE, use_backend


class RunResults(list[CellResult]):
    """Results in the order of the cells, without the failed ones.

    Attributes:
        by_cell: The same by cell, as it was asked for.
        failures: The cells that failed, each with its error.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_cell: dict[Cell, CellResult] = {}
        self.failures: list[tuple[Cell, Exception]] = []


def run_cells(
    cells: Sequence[Cell],
    out: Path,
    *,
    data_root: Path | str | None = None,
    batch_size: int | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    precision: str | int = SINGLE,
    force_precision: bool = False,
    seed: int | None = None,
    observer: Observer | None = None,
    save_adversarial: bool = False,
    backend: str = NATIVE,
) -> RunResults:
    """Return the results of `cells`, computing what `out` does not hold yet.

    Args:
        cells: What to run.
        out: Results folder; each cell has a folder of its own inside.
        data_root: The data set's own folder; None for the datamodule's default.
        batch_size: Samples per batch and process, None for the data set's default; it does not change the results.
        accelerator: Lightning's name of the accelerator: "auto", "cpu", "gpu".
        devices: Number of processes on every machine, one a device. If torchrun or srun started this process, it is one
            of those that they started, which share the samples.
        num_nodes: Number of machines; more than one needs torchrun or srun.
        precision: Lightning's name of the floating point numbers, "32" or "64". Cells of another one than 32 have
            folders of their own.
        force_precision: Take a lower one for sign attacks all the same.
        seed: Replaces the seed of every cell.
        observer: Is told of progress.
        save_adversarial: Whether all attacked images and point clouds are kept; samples without one are attacked
            again. Of the first two samples of a cell they are kept anyway.
        backend: What computes sparse convolutions. Rounding differs, so the cells of another one than ours have
            folders of their own.

    Returns:
        The results, in every process.

    Raises:
        ConfigError: A cell names something unknown or has a value that makes no sense; nothing was run.
        LostProcessError: A process that torchrun or srun started is gone.
        ResultError: The results folder cannot be written; finished batches are kept and the same call resumes.
        RunInterruptedError: Ctrl-C; finished batches are kept and the same call resumes.
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1, got {batch_size}")
    place = launched()
    accelerator = checked_devices(accelerator, devices, num_nodes, place)
    asked = [cell if seed is None else cell.replace(attack={"seed": seed}) for cell in cells]
    plain = [resolved(cell) for cell in asked]
    precision = checked_precision(precision, plain, force=force_precision)
    run = _Run(Path(out), Materials(data_root, batch_size), observer or SilentObserver(), len(asked))
    run.accelerator, run.backend, run.precision = accelerator, backend, precision
    run.save_adversarial = save_adversarial
    run.join(place, devices)
    results = RunResults()
    with use_backend(backend), interruptible(run.end):
        if run.ranks and place and place.rank:
            followed: RunResults = run.ranks.follow()
            return followed
        for cell, filled in zip(asked, plain, strict=True):
            try:
                result = run.cell(cell, filled)
            except (CannotWriteError, LostProcessError):
                raise
            except Exception as error:
                results.failures.append((cell, error))
                run.failed(cell, error)
            else:
                results.append(result)
                results.by_cell[cell] = result
        run.end(results)
    return results


class _Run:
    """What the cells of one call have in common; the attributes are the options of `run_cells`."""

    accelerator, devices, save_adversarial, backend, precision = "auto", 1, False, NATIVE, SINGLE

    def __init__(self, out: Path, materials: Materials, observer: Observer, n_cells: int) -> None:
        self.out, self.materials, self.observer, self.n_cells = out, materials, observer, n_cells
        self.workers = Workers()
        self.ranks: Ranks | None = None
        self.announced = False

    def join(self, place: Place | None, devices: int) -> None:
        """Settle who computes: processes that are there, or those that `Workers` starts when they are wanted."""
        self.ranks = Ranks(place) if place else None
        self.devices = place.world if place else devices

    def end(self, results: RunResults | None = None) -> None:
        """Let the other processes go; with the results if it came so far."""
        self.workers.stop()
        if self.ranks:
            if results is not None:
                results.failures = [(cell, portable(error)) for cell, error in results.failures]
            self.ranks.end(results)

    def cell(self, asked: Cell, filled: Cell) -> CellResult:
        """Return one cell's result."""
        self.announced = False
        data, target = self.materials.data(filled), self.materials.target(filled)
        check_pair(filled, target.victim, data.datamodule)
        filled = filled.replace(victim={"mean": target.mean, "std": target.std})
        fingerprint = fingerprint_of(filled, target.sha256, data.sha256, backend=self.backend, precision=self.precision)
        store = CellStore(self.out, filled.title, fingerprint)
        result = self._finished(filled, store, data)
        stored = result is not None
        if result is None:
            with store.locked():
                result = self._finished(filled, store, data) or self._complete(asked, filled, store, data, target)
        else:
            self._announce(asked, len(data.ids), len(data.ids))
        result = result.model_copy(update={"cell": filled.replace(paper=asked.paper)})
        self.observer.cell_finished(result, stored)
        return result

    def failed(self, asked: Cell, error: Exception) -> None:
        """Tell that a cell failed, and before that it began, if it had not come so far."""
        if not self.announced:
            self._announce(asked, asked.data.limit or 0, 0)
        self.observer.cell_failed(asked, error)

    def _announce(self, asked: Cell, total: int, done: int) -> None:
        self.observer.cell_started(asked, self.n_cells, total, done)
        self.announced = True

    def _finished(self, filled: Cell, store: CellStore, data: DataSet) -> CellResult | None:
        result = store.result()
        return None if result and self._lacking(filled, store, data) else result

    def _lacking(self, filled: Cell, store: CellStore, data: DataSet) -> set[str]:
        """Return the samples that lack what is to be kept of them: what they became, their history."""
        images = data.datamodule.task == "images"
        lacking: set[str] = set()
        if self.save_adversarial:
            lacking |= store.samples.without_adversarial(data.ids, images=images)
        if filled.history and (attack := build_attack(filled)).inputs == "images" and attack.has_iterates:
            lacking |= store.without_history(data.ids)
        return lacking

    def _complete(self, asked: Cell, filled: Cell, store: CellStore, data: DataSet, target: Target) -> CellResult:
        """Compute what is missing of a cell, and put its record together."""
        store.forget(store.parts(data.ids), self._lacking(filled, store, data))
        parts = store.parts(data.ids)
        done = frozenset(sample_id for part in parts for sample_id in part.rows.column("id").to_pylist())
        self._announce(asked, len(data.ids), len(done))
        fold = self.materials.foldable(target, data)
        job = Job(
            cell=filled,
            fingerprint=store.fingerprint,
            out=self.out,
            done=done,
            fold=fold,
            probe=data.probe if store.checks() is None else None,
            accelerator=self.accelerator,
            devices=processes_for(data.ids, done, self.devices),
            data_root=self.materials.data_root,
            batch_size=self.materials.batch_size,
            weights=target.sha256,
            save_adversarial=self.save_adversarial,
            backend=self.backend,
            precision=self.precision,
        )
        if len(done) < len(data.ids):
            self._compute(asked, job, target, data, parts)
        return self._record(filled, store, data, target, fold, job.devices)

    def _compute(self, asked: Cell, job: Job, target: Target, data: DataSet, parts: list[Part]) -> None:
        n_done, tally = len(job.done), total([part.rows for part in parts])

        def tell(event: Event) -> None:
            nonlocal n_done, tally
            if isinstance(event, BatchDone):
                n_done, tally = n_done + event.n_samples, event.tally if tally is None else tally + event.tally
                self.observer.batch_done(asked, n_done, tally)
            else:
                self.observer.iteration(asked, event.i, event.steps, event.n)

        if self.ranks:
            self.ranks.run(job, tell)
        elif job.devices > 1:
            self.workers.run(job, tell)
        else:
            compute(job, target.victim, data.datamodule, tell)

    def _record(
        self, filled: Cell, store: CellStore, data: DataSet, target: Target, fold: bool, processes: int
    ) -> CellResult:
        parts = store.parts(data.ids)
        rows = merged([part.rows for part in parts], data.ids)
        checks = store.checks() or preflight(target.victim, data.probe, build_gradient(filled), build_attack(filled))
        about = together(parts)
        wanted = data.ids[: checks.masking_samples]
        result = CellResult(
            cell=filled,
            fingerprint=store.fingerprint,
            n_samples=len(data.ids),
            **figures_of(rows, filled, data.datamodule.class_names),
            checks=_checks(
                filled,
                checks,
                loss_of_the_steps=loss_of(rows, wanted),
                within_bounds=pc.all(rows.column("within_bounds")).as_py(),
            ),
            folded=fold,
            backend=None if rows.column("gflops").null_count == len(rows) else self.backend,
            checkpoint_sha256=target.sha256,
            data_sha256=data.sha256,
            versions=versions(),
            git_commit=about.commit,
            device="; ".join(about.devices),
            precision=RECORDED[self.precision],
            run=RunRecord(batch_size=data.datamodule.batch_size, processes=processes, accelerator=self.accelerator),
            wall_time_s=about.seconds,
            peak_memory=about.peak.memory,
            peak_gpu_memory=about.peak.gpu_memory,
        )
        store.finish(result, rows, parts)
        return result


def _checks(cell: Cell, checks: Preflight, **of_rows: Any) -> Checks:
    """Return the checks of a record, which has every eps in the unit of the cell's."""
    large = None if checks.large_eps is None else printed_eps(cell, checks.large_eps)
    return Checks(**dict(checks) | {"large_eps": large}, **of_rows)
