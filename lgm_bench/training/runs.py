"""Train a victim, or resume its training, and store its weights with a record of how they were made."""

import errno
import hashlib
import json
import logging
import pickle
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import safetensors.torch
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from rich.console import Console

from lgm_bench.errors import CheckpointError, ConfigError, ResultError, RunInterruptedError
from lgm_bench.evaluation.engine.place import checked_devices
from lgm_bench.files import write_whole
from lgm_bench.tasks.base import task_named
from lgm_bench.training.callbacks import AlwaysOnAccuracy, EpochLog, NoiseByEpoch, PGDAccuracy, Stopwatch, read_epochs
from lgm_bench.training.view import TrainingView
from victims.official import CUT_SHORT
from victims.training.recipe import Recipe
from victims.victim import Victim

log = logging.getLogger(__name__)

LAST, METRICS, WEIGHTS, RECORD = "last.ckpt", "metrics.csv", "weights.safetensors", "training.json"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def train(
    victim: Victim,
    data: pl.LightningDataModule,
    recipe: Recipe,
    out: Path,
    *,
    name: str,
    seed: int = 0,
    accelerator: str = "auto",
    devices: int = 1,
    progress: bool = True,
) -> Path:
    """Train until the recipe's last epoch and return the path of the weights (safetensors, official keys).

    A checkpoint is written after every epoch. The same call on the same folder continues from it, and does nothing
    once the weights are there.

    Args:
        victim: Untrained network.
        data: Its datamodule, with `train_dataloader` and `val_dataloader`.
        recipe: Optimizer, schedule, objective.
        out: Folder for the checkpoint, the log (CSV), the weights and the record (JSON).
        name: Name of the victim, for the record.
        seed: Seed of the objective's noise; the caller has seeded weights and data.
        accelerator: "auto", "cpu" or "gpu" ("cuda").
        devices: Number of devices. Each takes batches of the recipe's size, so their number changes the result.
        progress: Show progress on standard error.

    Raises:
        ConfigError: There are too few devices; victim, data and recipe do not fit together; `out` holds a run with
            another recipe, victim, data, seed or number of devices; or a batch is larger than the data set.
        CheckpointError: The checkpoint of the run in `out` is damaged.
        ResultError: `out` cannot be made or written, or its settings are damaged.
        RunInterruptedError: Ctrl-C; the same call continues from the last finished epoch.
    """
    accelerator = checked_devices(accelerator, devices)
    _require_fit(victim, data, name)
    victim.train().requires_grad_(True)
    victim.configure_training(recipe)
    settings = {"victim": name, "data": _data(data), "seed": seed, "devices": devices, "recipe": recipe.model_dump()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        _claim(out, settings)
    except OSError as error:
        raise ResultError(f"cannot write {out}: {error.strerror or error}; choose another --out") from error
    if finished(out):
        return out / WEIGHTS
    pl.seed_everything(seed, verbose=False)
    keeper = ModelCheckpoint(out, Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True)
    watch = Stopwatch()
    callbacks: list[Callback] = [AlwaysOnAccuracy(), EpochLog(out / METRICS), NoiseByEpoch(seed), watch, keeper]
    if recipe.adversarial is not None:
        callbacks.insert(0, PGDAccuracy(recipe.adversarial.eps))  # before the log, which it adds a column to
    if progress:
        callbacks.append(TrainingView(Console(stderr=True)))
    trainer = pl.Trainer(
        max_epochs=recipe.epochs,
        accelerator=accelerator,
        devices=devices,
        precision=recipe.precision,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    resumed = _checkpoint(out / LAST)
    with _room(out):
        _fit(trainer, victim, data, resumed)
        if trainer.is_global_zero:
            _write(out, victim, settings, wall_time_s=watch.seconds, resumed=resumed is not None)
    return out / WEIGHTS


def finished(out: Path) -> bool:
    """Return whether the run in this folder is complete."""
    return (out / RECORD).exists() and (out / WEIGHTS).exists()


@contextmanager
def _room(out: Path) -> Iterator[None]:
    """Turn the error of a full or read-only disk into a ResultError."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise ResultError(
            f"cannot write to {out}: {error.strerror}; make room, then the same command continues from the last epoch"
        ) from error


def _fit(trainer: pl.Trainer, victim: Victim, data: pl.LightningDataModule, resumed: Path | None) -> None:
    """Fit, and on Ctrl-C raise an error; Lightning would end the process and ignore a second Ctrl-C."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(victim, data, ckpt_path=resumed, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise RunInterruptedError(
            f"interrupted; {trainer.current_epoch} of {trainer.max_epochs} epochs are done and kept"
        ) from None


def _require_fit(victim: Victim, data: pl.LightningDataModule, name: str) -> None:
    data_task, victim_task = getattr(data, "task", None), getattr(victim, "task", "images")
    if data_task is not None and data_task != victim_task:
        data_set = getattr(data, "name", type(data).__name__)
        raise ConfigError(
            f"{name} takes {task_named(victim_task).sample}s, and data set {data_set} holds "
            f"{task_named(data_task).sample}s; "
            "choose another --data"
        )


def _data(data: pl.LightningDataModule) -> dict[str, str | int]:
    """Return the name of the data set and its numbers of training and validation samples."""
    trained, validated = data.train_dataloader(), data.val_dataloader()
    return {
        "name": getattr(data, "name", type(data).__name__),
        "training": len(trained.sampler),
        "validation": len(validated.sampler),
    }


def _claim(out: Path, settings: dict[str, Any]) -> None:
    path = out / "settings.json"
    if path.exists():
        try:
            before = dict(json.loads(path.read_text()))
        except (TypeError, ValueError) as error:
            raise ResultError(f"{path} is damaged ({error}); choose another --out, or delete this folder") from error
        # The settings of an older run may lack entries; they had the values that are the defaults now.
        before = {"data": settings["data"], "devices": 1, "recipe": {}} | before
        before["recipe"] = {name: field.default for name, field in Recipe.model_fields.items()} | before["recipe"]
        if before != settings:
            changed = sorted(key for key in settings if settings[key] != before.get(key))
            raise ConfigError(f"{out} holds a training run with another {', '.join(changed)}; choose another --out")
    write_whole(path, json.dumps(settings, indent=2).encode())


def _checkpoint(path: Path) -> Path | None:
    """Return the path of the checkpoint to continue from, if there is one."""
    if not path.exists():
        return None
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError, *CUT_SHORT) as error:
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}); delete it to train from the start"
        ) from error
    return path


def _warnings(victim: Victim) -> list[str]:
    """Return what the trained network lacks of what its recipe asks for."""
    wanted, found = victim.recipe.adaptive_units, victim.decided.get("adaptive_units", 0)
    if found >= wanted:
        return []
    units = len(victim.decided.get("decided_by_image_by_unit", ()))
    return [
        f"{found} of {units} units decide by the image, and the recipe asks for {wanted}; try bounds_relaxed_after "
        "above 1, or another target_share"
    ]


def _write(out: Path, victim: Victim, settings: dict[str, Any], *, wall_time_s: float, resumed: bool) -> None:
    state = {key: value.detach().cpu().contiguous().clone() for key, value in victim.network.state_dict().items()}
    content = safetensors.torch.save(state)
    write_whole(out / WEIGHTS, content)
    warnings = _warnings(victim)
    for warning in warnings:
        log.warning("%s", warning)
    record = settings | {
        "sha256": hashlib.sha256(content).hexdigest(),
        "decided": victim.decided,
        "warnings": warnings,
        "epochs": read_epochs(out / METRICS),
        "wall_time_s": round(wall_time_s),
        "resumed": resumed,
        "torch": torch.__version__,
        "lightning": version("pytorch-lightning"),
    }
    write_whole(out / RECORD, json.dumps(record, indent=2).encode())
    log.info("weights and training record are in %s", out)
