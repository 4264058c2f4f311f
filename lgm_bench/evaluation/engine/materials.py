"""Victims and data sets of the cells of one run, each loaded once for the cells that share it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datamodules import DATAMODULES
from datamodules.samples_datamodule import SamplesDataModule
from lgm_bench.attacks.checks import class_indices
from lgm_bench.errors import ConfigError, DataError, LgmBenchError, fault
from lgm_bench.evaluation.cells.cell import Cell, DataSpec
from lgm_bench.evaluation.engine.preflight import N_SAMPLES
from lgm_bench.evaluation.store.store import ids_sha256
from lgm_bench.leaded import hard_forward
from lgm_bench.registry import resolve
from lgm_bench.tasks.adapter import adapter_named
from victims import load_victim
from victims.folding import folded
from victims.image_victim import ImageVictim
from victims.victim import Victim

Channels = tuple[float, ...]
"""A number for each channel."""

_LAST_DIGITS = 1e-4  # relative to the largest logit: what folding may change in float32


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
        key = (cell.victim, cell.attack.seed, cell.data.name)
        if self._target is None or self._target[0] != key:
            victim = build_victim(cell)
            self._settle(cell, victim)
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

    def _settle(self, cell: Cell, victim: Victim) -> None:
        """Give held-out training samples to a network that takes settings from them, such as thresholds of exits."""
        network: Any = victim.network
        if not getattr(network, "unsettled", False):
            return
        held_out = build_data(cell.replace(data={"subset": "holdout", "limit": None}), self.data_root, self.batch_size)
        held_out.share = 0, 1  # the same samples in all processes
        held_out.setup("test")
        network.settle([inputs for inputs, *_ in held_out.test_dataloader()])

    def _probe(self, cell: Cell, datamodule: SamplesDataModule) -> Any:
        most = min(N_SAMPLES, 2 * datamodule.default_batch_size)
        few = build_data(cell.replace(data={"limit": min(cell.data.limit or most, most)}), self.data_root, most)
        few.share = 0, 1  # the same samples in all processes
        few.setup("test")
        return next(iter(few.test_dataloader()))


def build_victim(cell: Cell) -> Victim:
    """Return the cell's victim in evaluation mode, on the CPU; see `load_victim` for what it raises."""
    victim = cell.victim
    return load_victim(
        victim.name, victim.checkpoint, victim.mean, victim.std, cell.attack.seed, kwargs=dict(victim.kwargs)
    )


def normalization(cell: Cell, victim: Victim) -> tuple[Channels | None, Channels | None]:
    """Return the mean and std that a victim of images normalizes by, see `VictimSpec.mean`; None for one of points."""
    if not isinstance(victim, ImageVictim):
        return cell.victim.mean, cell.victim.std
    return cell.victim.mean or _channels(victim.mean), cell.victim.std or _channels(victim.std)


def _channels(values: Tensor) -> Channels:
    """Return a normalization as short decimal numbers that give the same float32."""
    return tuple(float(f"{value:.7g}") for value in values.flatten().tolist())


def build_data(cell: Cell, data_root: Path | str | None, batch_size: int | None) -> SamplesDataModule:
    """Return the datamodule that yields the cell's samples; nothing is read yet.

    Args:
        cell: The cell.
        data_root: See `run_cells`.
        batch_size: Samples per batch; None for the data set's default.

    Raises:
        UnknownNameError: There is no such data set.
        ConfigError: It is of a user's own and no `SamplesDataModule`, or refuses an option.
    """
    kind = resolve("data set", cell.data.name, DATAMODULES)
    size = batch_size or getattr(kind, "default_batch_size", 1)
    datamodule = kind(data_root=data_root, batch_size=size, limit=cell.data.limit, subset=cell.data.subset)
    if not isinstance(datamodule, SamplesDataModule):
        raise ConfigError(
            f"data set {cell.data.name!r} is a {type(datamodule).__name__}; derive it from "
            "datamodules.samples_datamodule.SamplesDataModule, whose samples have ids"
        )
    return datamodule


def check_pair(cell: Cell, victim: Victim, datamodule: SamplesDataModule) -> None:
    """Check that the cell's victim does what the samples are for.

    Raises:
        ConfigError: It does not.
    """
    does = victim.task
    if does != datamodule.task:
        raise ConfigError(
            f"victim {cell.victim.name!r} is for {does} and data set {cell.data.name!r} for {datamodule.task}; choose "
            "another victim, or another data set (data: in YAML, or --data)"
        )


def check_forward(cell: Cell, victim: Victim, data: DataSet) -> None:
    """Check that the victim takes the first samples and gives logits that fit their labels.

    Raises:
        ConfigError: It does not.
    """
    adapter = adapter_named(data.datamodule.task)
    inputs, labels, ids = data.probe
    labels = class_indices("labels", labels)
    adapter.check(victim, inputs, labels, ids)
    group = adapter.groups(inputs, labels)[0]
    try:
        with torch.no_grad():
            logits, wanted = adapter.scored(victim, group.inputs, group.labels)
    except LgmBenchError:
        raise
    except Exception as error:  # a victim of a user's own, or one that was not made for such samples
        raise ConfigError(
            f"victim {cell.victim.name!r} cannot take samples of data set {cell.data.name!r}: {fault(error)}"
        ) from error
    if not isinstance(logits, Tensor):
        raise ConfigError(f"victim {cell.victim.name!r} gave a {type(logits).__name__}, expected a tensor of logits")
    adapter.check_logits(logits, wanted, None)


def weights_sha256(victim: nn.Module) -> str:
    """Return the sha256 of a network's state, by name: the same whatever file it was read from."""
    digest = hashlib.sha256()
    for name, value in sorted(victim.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


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
