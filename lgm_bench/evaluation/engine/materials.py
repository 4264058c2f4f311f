"""Victims and data sets of the cells of one run, each loaded once for the cells that share it."""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datamodules import DATAMODULES
from datamodules.samples_datamodule import Batches, SamplesDataModule
from lgm_bench.attacks.universal import Universal
from lgm_bench.errors import ConfigError, DataError, LgmBenchError, fault
from lgm_bench.evaluation.cells.cell import Cell, DataSpec, VictimSpec
from lgm_bench.evaluation.cells.kinds import learns
from lgm_bench.evaluation.engine.preflight import N_SAMPLES
from lgm_bench.evaluation.store.store import ids_sha256
from lgm_bench.leaded import GradientMethod, hard_forward
from lgm_bench.registry import resolve
from lgm_bench.tasks.adapter import adapter_named
from victims import load_victim
from victims.checkpoints import trained_on
from victims.folding import folded
from victims.image_victim import ImageVictim
from victims.victim import Victim

Channels = tuple[float, ...]
"""One number per channel."""

_LAST_DIGITS = 1e-4  # how much folding may change float32 logits, relative to the largest


@dataclass(frozen=True)
class DataSet:
    """The samples of a cell, with their ids in order."""

    datamodule: SamplesDataModule
    ids: list[str]
    sha256: str  # of the ids
    content: str  # sha256 of the samples' content
    probe: Any  # the first samples, for checks and automatic slopes
    learned_on: str = ""  # sha256 of the content of the held-out samples, if the attack learns on them

    @property
    def basis(self) -> str:
        """The sha256 of all samples that a result depends on."""
        if not self.learned_on:
            return self.content
        return hashlib.sha256(f"{self.content} {self.learned_on}".encode()).hexdigest()


@dataclass(frozen=True)
class Target:
    """A victim in evaluation mode, on the CPU, with the values that go into a record."""

    victim: Victim
    sha256: str  # of its weights; with "quantile" thresholds, also of the held-out samples that these come from
    mean: Channels | None  # its normalization, see `VictimSpec`; None for a victim of point clouds
    std: Channels | None
    trained_on: str | None  # data set


class Materials:
    """Loads victims and data sets, and keeps the latest of each, since cells that share one run in succession."""

    def __init__(self, data_root: Path | str | None, batch_size: int | None) -> None:
        self.data_root, self.batch_size = data_root, batch_size
        self._prepared: DataSpec | None = None
        self._data, self._target = lru_cache(1)(self._read), lru_cache(1)(self._load)
        self._fits: tuple[tuple[str, ...], bool] | None = None

    def prepare(self, cell: Cell) -> None:
        """Download or generate the cell's data set; called once on every machine."""
        if self._prepared != cell.data:
            build_data(cell.data, self.data_root, self.batch_size).prepare_data()
            self._prepared = cell.data

    def data(self, cell: Cell) -> DataSet:
        """Return the cell's samples; raises what the datamodule raises."""
        data = self._data(cell.data)
        return replace(data, learned_on=self._held_out(cell).content) if learns(cell.attack.name) else data

    def learned(self, cell: Cell, attack: Universal, gradient: GradientMethod) -> Tensor:
        """Return the change that a cell's attack learns on the first held-out samples."""
        held_out = self._held_out(cell)
        adapter = adapter_named(held_out.datamodule.task, held_out.datamodule.ignored_classes)
        return attack.learned(self.target(cell).victim, list(Batches(held_out.datamodule)), gradient, adapter)

    def _held_out(self, cell: Cell) -> DataSet:
        """Return what an attack learns on.

        Raises:
            ConfigError: The cell's own samples are the held-out ones.
        """
        if cell.data.subset == "holdout":
            raise ConfigError(f"{cell.attack.name} learns on the held-out samples, so attack others: choose test")
        module = build_data(
            replace(cell.data, subset="holdout", limit=Universal.images), self.data_root, Universal.at_once
        )
        module.share = 0, 1  # the same samples in all processes
        module.setup("test")
        ids = list(module.sample_ids())
        return DataSet(module, ids, ids_sha256(ids), module.content_sha256(), None)

    def target(self, cell: Cell) -> Target:
        """Return the cell's victim; raises what `load_victim` raises."""
        held_out = replace(cell.data, subset="holdout", limit=None)
        return self._target(cell.victim, cell.attack.seed, held_out)

    def fit(self, cell: Cell, target: Target, data: DataSet) -> bool:
        """Check the victim on the first samples, and return whether it may be folded; some tasks never fold.

        Raises:
            ConfigError: The victim does not take such samples, or its outputs do not fit their labels.
        """
        module, victim = data.datamodule, target.victim
        if victim.task != module.task:
            raise ConfigError(
                f"victim {cell.victim.name!r} is for {victim.task} and data set {cell.data.name!r} for {module.task}; "
                "choose another victim, or another data set (data: in YAML, or --data)"
            )
        key = (target.sha256, data.sha256, data.content)
        if self._fits is None or self._fits[0] != key:
            adapter = adapter_named(module.task, module.ignored_classes)
            inputs, labels, ids = data.probe
            adapter.check(victim, inputs, labels, ids)
            try:
                adapter.judged(victim, inputs, labels, None, ids)
            except LgmBenchError:
                raise
            except Exception as error:  # a user's own victim, or one made for other samples
                raise ConfigError(
                    f"victim {cell.victim.name!r} cannot take samples of data set {cell.data.name!r}: {fault(error)}"
                ) from error
            self._fits = key, adapter.folds and _may_fold(victim, inputs)
        return self._fits[1]

    def _read(self, spec: DataSpec) -> DataSet:
        module = build_data(spec, self.data_root, self.batch_size)
        module.setup("test")
        ids = list(module.sample_ids())
        if not ids:
            raise DataError(f"data set {spec.name} has no samples in its subset {spec.subset!r}; choose another")
        most = min(N_SAMPLES, 2 * module.default_batch_size)
        few = build_data(replace(spec, limit=min(spec.limit or most, most)), self.data_root, most)
        few.share = 0, 1  # the same samples in all processes
        few.setup("test")
        return DataSet(module, ids, ids_sha256(ids), module.content_sha256(), next(iter(Batches(few))))

    def _load(self, spec: VictimSpec, seed: int, held_out: DataSpec) -> Target:
        victim = load_victim(spec.name, spec.checkpoint, spec.mean, spec.std, seed, kwargs=dict(spec.kwargs))
        network: Any = victim.network
        sha256 = weights_sha256(victim)
        if getattr(network, "unsettled", False):  # thresholds of exits come from training samples
            samples = build_data(held_out, self.data_root, self.batch_size)
            samples.share = 0, 1  # the same samples in all processes
            samples.setup("test")
            network.settle([inputs for inputs, *_ in Batches(samples)])
            images = f"{ids_sha256(list(samples.sample_ids()))} {samples.content_sha256()}"
            sha256 = hashlib.sha256(f"{sha256} {images}".encode()).hexdigest()
        mean, std = spec.mean, spec.std
        if isinstance(victim, ImageVictim):
            mean, std = mean or _channels(victim.mean), std or _channels(victim.std)
        return Target(victim, sha256, mean, std, trained_on(spec.name, spec.checkpoint))


def _channels(values: Tensor) -> Channels:
    """Return a normalization as short decimal numbers that give the same float32."""
    return tuple(float(f"{value:.7g}") for value in values.flatten().tolist())


def build_data(spec: DataSpec, data_root: Path | str | None, batch_size: int | None) -> SamplesDataModule:
    """Return the datamodule that yields a cell's samples; nothing is read yet. Options as for `run_cells`.

    Raises:
        UnknownNameError: There is no such data set.
        ConfigError: A user's own class is not a `SamplesDataModule`, or it refuses an option.
    """
    kind = resolve("data set", spec.name, DATAMODULES)
    size = batch_size or getattr(kind, "default_batch_size", 1)
    datamodule = kind(data_root=data_root, batch_size=size, limit=spec.limit, subset=spec.subset)
    if not isinstance(datamodule, SamplesDataModule):
        raise ConfigError(
            f"data set {spec.name!r} is a {type(datamodule).__name__}; derive it from "
            "datamodules.samples_datamodule.SamplesDataModule, whose samples have ids"
        )
    return datamodule


def weights_sha256(victim: nn.Module) -> str:
    """Return the sha256 of a network's state, independent of the file that it was read from."""
    digest = hashlib.sha256()
    for name, value in sorted(victim.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _may_fold(victim: nn.Module, inputs: Any) -> bool:
    """Return whether folding changes last digits only: same decisions, logits within rounding.

    Folding relies on the names and order of modules, which may be misleading in a user's own network.
    """
    logits, decisions = hard_forward(victim, inputs)
    new_logits, new_decisions = hard_forward(folded(victim), inputs)
    close = (logits - new_logits).abs().max() <= _LAST_DIGITS * logits.abs().max()
    same = len(decisions) == len(new_decisions) and all(map(torch.equal, decisions, new_decisions))
    return bool(close) and same
