"""Victims and data sets of the cells of one run, each loaded once for the cells that share it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.samples_datamodule import SamplesDataModule
from lgm_bench.errors import DataError
from lgm_bench.evaluation.cells.cell import Cell, DataSpec
from lgm_bench.evaluation.engine.building import (
    Channels,
    build_data,
    build_victim,
    normalization,
    weights_sha256,
)
from lgm_bench.evaluation.engine.compute import may_fold
from lgm_bench.evaluation.engine.preflight import N_SAMPLES
from lgm_bench.evaluation.store.store import ids_sha256
from lgm_bench.tasks.adapter import adapter_named
from victims.victim import Victim


@dataclass(frozen=True)
class DataSet:
    """What a cell is measured on.

    Attributes:
        datamodule: Yields the samples.
        ids: Their ids, in order.
        sha256: Of the ids.
        content: sha256 of what they hold.
        probe: The first samples, for the pre-flight checks and automatic slopes.
    """

    datamodule: SamplesDataModule
    ids: list[str]
    sha256: str
    content: str
    probe: Any


@dataclass(frozen=True)
class Target:
    """A victim with what a record says of it.

    Attributes:
        victim: In evaluation mode, on the CPU.
        sha256: Of its weights.
        mean: Its normalization, see `VictimSpec.mean`; None for one of points.
        std: See `mean`.
    """

    victim: Victim
    sha256: str
    mean: Channels | None
    std: Channels | None


class Materials:
    """Loads victims and data sets, and keeps the latest of each: cells that share one follow each other.

    Args:
        data_root: Folder of the data set; None for the datamodule's default.
        batch_size: Samples per batch; None for the data set's default.
    """

    def __init__(self, data_root: Path | str | None, batch_size: int | None) -> None:
        self.data_root, self.batch_size = data_root, batch_size
        self._data: tuple[DataSpec, DataSet] | None = None
        self._target: tuple[tuple[object, ...], Target] | None = None
        self._foldable: tuple[tuple[str, str], bool] | None = None

    def prepare(self, cell: Cell) -> None:
        """Make what the cell's data set is read from; once on every machine."""
        if self._data is None or self._data[0] != cell.data:
            build_data(cell, self.data_root, self.batch_size).prepare_data()

    def data(self, cell: Cell) -> DataSet:
        """Return the cell's samples; raises what the datamodule raises."""
        if self._data is None or self._data[0] != cell.data:
            datamodule = build_data(cell, self.data_root, self.batch_size)
            datamodule.setup("test")
            ids = list(datamodule.sample_ids())
            if not ids:
                raise DataError(
                    f"data set {cell.data.name} has no samples in its subset {cell.data.subset!r}; choose another"
                )
            probe = self._probe(cell, datamodule)
            self._data = cell.data, DataSet(datamodule, ids, ids_sha256(ids), datamodule.content_sha256(), probe)
        return self._data[1]

    def target(self, cell: Cell) -> Target:
        """Return the cell's victim; raises what `load_victim` raises."""
        key = (cell.victim, cell.attack.seed)
        if self._target is None or self._target[0] != key:
            victim = build_victim(cell)
            self._target = key, Target(victim, weights_sha256(victim), *normalization(cell, victim))
        return self._target[1]

    def foldable(self, target: Target, data: DataSet) -> bool:
        """Return whether the victim gives the same with its batch norms folded; some tasks' networks are not folded."""
        if not adapter_named(data.datamodule.task).folds:
            return False
        key = (target.sha256, data.sha256)
        if self._foldable is None or self._foldable[0] != key:
            self._foldable = key, may_fold(target.victim, data.probe[0])
        return self._foldable[1]

    def _probe(self, cell: Cell, datamodule: SamplesDataModule) -> Any:
        most = min(N_SAMPLES, 2 * datamodule.default_batch_size)
        few = build_data(cell.replace(data={"limit": min(cell.data.limit or most, most)}), self.data_root, most)
        few.share = 0, 1  # the same samples in all processes
        few.setup("test")
        return next(iter(few.test_dataloader()))
