"""Running cells: each is read from the results folder, resumed, or computed."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.universal import Universal
from lgm_bench.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    LgmBenchError,
    LostProcessError,
    fault,
    never_exiting,
)
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import build_attack, build_gradient, resolved
from lgm_bench.evaluation.engine.compute import Job, Options, compute
from lgm_bench.evaluation.engine.finished import Basis, changed_since, own_sources
from lgm_bench.evaluation.engine.launch import interruptible, launched
from lgm_bench.evaluation.engine.materials import DataSet, Materials, Target
from lgm_bench.evaluation.engine.place import ALONE, SINGLE, checked_devices, checked_precision, device_type, here
from lgm_bench.evaluation.engine.progress import Observer, Progress
from lgm_bench.evaluation.engine.ranks import Ranks, joined
from lgm_bench.evaluation.engine.recording import recorded
from lgm_bench.evaluation.store.files import CannotWriteError
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.samples import kept_change, without_adversarial
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.evaluation.store.tally import Tally, total
from lgm_bench.leaded import GradientMethod, calibrated
from lgm_bench.sparse.backends import use_backend, usual_backend
from lgm_bench.tasks.adapter import adapter_named

FAILURES = "failures.log"
"""File in a results folder with the tracebacks of failed cells."""


class RunResults(list[CellResult]):
    """Results in the order of the cells, without the failed ones.

    Attributes:
        by_cell: The same results by requested cell.
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
    backend: str | None = None,
    fresh: bool = False,
    skip_broken: bool = False,
) -> RunResults:
    """Return the results of `cells`; those missing in `out` are computed.

    Args:
        cells: What to run.
        out: Results folder; each cell has a folder of its own inside.
        data_root: The data set's own folder; None for the datamodule's default.
        batch_size: Samples per batch and process; None for the data set's default.
        accelerator: Lightning's name of the accelerator: "auto", "cpu", "gpu".
        devices: Number of processes per machine, one per device. They share the samples, and are started here unless
            torchrun or srun has started this one.
        num_nodes: Number of machines; more than one needs torchrun or srun.
        precision: Lightning's name of the precision, "32" or "64". Cells in 64 bits have folders of their own.
        force_precision: Run sign attacks even in a lower precision.
        seed: Replaces the seed of every cell.
        observer: Gets the events of the run.
        save_adversarial: Keep all attacked images and point clouds; finished samples without one are attacked again.
            The first samples of a cell are always kept, see `store.samples.n_examples`.
        backend: Library that computes sparse convolutions; None for the usual one of the accelerator. Rounding
            differs, so point cloud cells with a backend other than native have folders of their own.
        fresh: Compute finished cells again.
        skip_broken: Whether the other cells run if one makes no sense; otherwise nothing is run.

    Returns:
        The results, in every process. The tracebacks of failed cells are appended to `failures.log` in `out`.

    Raises:
        ConfigError: A cell names something unknown or has a value that makes no sense; nothing was run.
        LostProcessError: One of several processes is gone; finished batches are kept and the same call resumes.
        ResultError: The results folder cannot be written; finished batches are kept and the same call resumes.
        RunInterruptedError: Ctrl-C; finished batches are kept and the same call resumes.
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1, got {batch_size}")
    place = here()
    accelerator = checked_devices(accelerator, devices, num_nodes, place)
    backend = backend or usual_backend(device_type(accelerator))
    asked = [cell if seed is None else cell.replace(attack={"seed": seed}) for cell in cells]
    filled = [filled_cell(cell, keep_error=skip_broken) for cell in asked]
    sound = [cell for cell in filled if isinstance(cell, Cell)]
    precision = checked_precision(precision, sound, force=force_precision)
    options = Options(Path(out), accelerator, backend, precision, save_adversarial, fresh)
    if devices > 1 and place == ALONE:
        arguments = {"cells": asked, "data_root": data_root, "batch_size": batch_size, "devices": devices}
        arguments |= {"force_precision": force_precision, "skip_broken": skip_broken, **vars(options)}
        results: RunResults = launched(devices, run_cells, arguments, observer or Observer())
        return results
    with use_backend(backend), interruptible():
        ranks = joined(place)
        watching = observer if observer and ranks.leads else Observer()
        return _Run(options, Materials(data_root, batch_size), watching, ranks).cells(asked, filled)


def filled_cell(cell: Cell, *, keep_error: bool) -> Cell | Exception:
    """Return a cell with its defaults filled in. Where that is impossible, return the reason, or raise it.

    Raises:
        LgmBenchError: The reason, unless `keep_error`.
    """
    try:
        return resolved(cell)
    except LgmBenchError as error:
        found: LgmBenchError = error
    except Exception as error:  # from a user's own attack or gradient method
        found = ConfigError(f"{cell.title}: {fault(error)}")
        found.__cause__ = error
    if not keep_error:
        raise found
    return found


class _Run:
    """One call of `run_cells` in one of its processes. Every process makes the same calls here."""

    def __init__(self, options: Options, materials: Materials, observer: Observer, ranks: Ranks) -> None:
        self.options, self.materials, self.observer, self.ranks = options, materials, observer, ranks
        self.n_cells, self.announced = 0, False
        self.computed: set[str] = set()  # fingerprints of this call's cells

    def cells(self, asked: Sequence[Cell], filled: Sequence[Cell | Exception]) -> RunResults:
        """Return the results of the `asked` cells; `filled` are the same with their defaults filled in."""
        results, self.n_cells = RunResults(), len(asked)
        for cell, whole in zip(asked, filled, strict=True):
            self.announced = False
            try:
                if isinstance(whole, Exception):
                    raise whole
                result = self.cell(cell, whole)
            except (CannotWriteError, LostProcessError):
                raise
            except Exception as error:
                results.failures.append((cell, error))
                self._log(cell, error)
                if not self.announced:
                    self._announce(cell, cell.data.limit or 0, 0)
                self.observer.cell_failed(cell, error)
            else:
                results.append(result)
                results.by_cell[cell] = result
        return results

    def cell(self, asked: Cell, filled: Cell) -> CellResult:
        """Return one cell's result, from the results folder or computed now."""
        data, target, basis = self._materials(filled)
        filled = filled.replace(victim={"mean": target.mean, "std": target.std})
        fingerprint = basis.fingerprint(filled, backend=self.options.backend, precision=self.options.precision)
        store = CellStore(self.options.out, filled.title, fingerprint)
        if self.options.fresh and fingerprint not in self.computed:
            with self._locked(store):
                self.ranks.decided(store.clear)
        result = self.ranks.decided(lambda: self._stored(filled, store, data))
        stored = result is not None
        if result is None:
            changed = self.ranks.decided(lambda: changed_since(filled, basis, self.options.out))
            if changed:
                self.observer.outdated(asked, changed)
            with self._locked(store):
                result = self.ranks.decided(lambda: self._stored(filled, store, data))
                result = result or self._complete(asked, filled, store, data, target)
        else:
            self._announce(asked, len(data.ids), len(data.ids))
        self.computed.add(fingerprint)
        result = result.model_copy(update={"cell": filled.replace(paper=asked.paper, baseline=asked.baseline)})
        self.observer.cell_finished(result, stored)
        return result

    def _log(self, cell: Cell, error: Exception) -> None:
        """Append an error's traceback to the log file. If the folder is not writable, storing a result reports that."""
        if self.ranks.leads:
            text = "".join(traceback.format_exception(error))
            with suppress(OSError):
                self.options.out.mkdir(parents=True, exist_ok=True)
                with (self.options.out / FAILURES).open("a", encoding="utf-8") as file:
                    file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, {cell.title}\n{text}\n")

    def _announce(self, asked: Cell, total: int, done: int) -> None:
        self.announced = True
        self.observer.cell_started(asked, self.n_cells, total, done)

    def _materials(self, filled: Cell) -> tuple[DataSet, Target, Basis]:
        """Return samples, victim and basis of a cell; the basis must be the same in all processes."""

        def prepare() -> None:
            if self.ranks.place.local_rank == 0:
                with never_exiting(f"data set {filled.data.name!r}"):
                    self.materials.prepare(filled)

        def load() -> tuple[DataSet, Target, Basis]:
            with never_exiting(f"data set {filled.data.name!r}"):
                data = self.materials.data(filled)
            with never_exiting(f"victim {filled.victim.name!r}"):
                target = self.materials.target(filled)
            return data, target, Basis(target.sha256, data.sha256, data.basis, own_sources(filled))

        self.ranks.together(prepare)
        data, target, basis = self.ranks.together(load)
        for what, values, kind in (
            (f"the weights of {filled.victim.name}", basis.weights, CheckpointError),
            (f"the samples of {filled.data.name}", (basis.ids, basis.content), DataError),
            (f"the files {', '.join(basis.sources)}", tuple(basis.sources.items()), ConfigError),
        ):
            if self.ranks.differ(values):
                raise kind(
                    f"{what} are not the same in all processes; copy the same to every machine and leave them unchanged"
                )
        return data, target, basis

    @contextmanager
    def _locked(self, store: CellStore) -> Iterator[None]:
        """Keep other runs out of a cell; process 0 holds the lock for all."""
        with ExitStack() as held:
            self.ranks.decided(lambda: held.enter_context(store.locked()))
            yield

    def _stored(self, filled: Cell, store: CellStore, data: DataSet) -> CellResult | None:
        result = store.result()
        return None if result and self._lacking(filled, store, data) else result

    def _lacking(self, filled: Cell, store: CellStore, data: DataSet) -> set[str]:
        """Return the samples without something that this run keeps: their attacked input or their history."""
        adapter, attack = adapter_named(data.datamodule.task), build_attack(filled)
        lacking: set[str] = set()
        if self.options.save_adversarial and adapter.kept:
            lacking |= without_adversarial(store.folder, data.ids, adapter.kept)
        if filled.history and attack.has_iterates and not attack.keeps_best:
            lacking |= store.without_history(data.ids)
        return lacking

    def _complete(self, asked: Cell, filled: Cell, store: CellStore, data: DataSet, target: Target) -> CellResult:
        """Compute a cell's missing samples, every process its share, and make the record."""

        def left_over() -> tuple[frozenset[str], Tally | None, Attack, bool, bool, GradientMethod]:
            store.forget(store.parts(data.ids), self._lacking(filled, store, data))
            tables = [part.rows for part in store.parts(data.ids)]
            done = frozenset(sample_id for table in tables for sample_id in table.column("id").to_pylist())
            self._announce(asked, len(data.ids), len(done))
            fold = self.materials.fit(filled, target, data)
            gradient = calibrated(build_gradient(filled), target.victim, data.probe[0], filled.attack.steps)
            attack = build_attack(filled)
            if isinstance(attack, Universal):
                learn = partial(self.materials.learned, filled, attack, gradient)
                attack = attack.with_change(kept_change(store.folder, learn))
            return done, total(tables), attack, fold, store.checks() is None, gradient

        done, tally, attack, fold, unchecked, gradient = self.ranks.decided(left_over)
        place = self.ranks.place
        probes = unchecked and self.ranks.leads
        job = Job(filled, store, data, target, self.options, done, attack, fold, gradient, probes, place.local_rank)
        figures: dict[str, float] = {}
        if len(done) < len(data.ids):
            progress = Progress(asked, self.observer, self.ranks, len(done), tally)
            share = self.ranks.together(lambda: compute(job, progress))
            progress.update()
            figures = self.ranks.together(share.merged)
        return self.ranks.decided(lambda: recorded(job, figures, processes=place.world))
