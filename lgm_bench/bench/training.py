"""`lgm-bench train`: fit a victim to its data, resumably, and store it with a record of how it was made."""

import hashlib
import json
import logging
import pickle
import signal
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from rich.console import Console
from safetensors.torch import save_file

from lgm_bench.bench.epoch_log import EpochLog, read_epochs
from lgm_bench.bench.training_view import TrainingView
from lgm_bench.errors import CheckpointError, ConfigError, ResultError, RunInterruptedError
from lgm_bench.files import write_whole
from victims.official import CUT_SHORT
from victims.training.recipe import Recipe
from victims.victim import Victim

log = logging.getLogger(__name__)

LAST, METRICS, WEIGHTS, RECORD = "last.ckpt", "metrics.csv", "weights.safetensors", "training.json"


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

    A checkpoint is written after every epoch; the same call on the same folder goes on from it, and does nothing once
    the weights are there.

    Args:
        victim: Untrained network.
        data: Its datamodule, with `train_dataloader` and `val_dataloader`.
        recipe: Optimizer, schedule, objective.
        out: Folder for the checkpoint, the log (CSV), the weights and the record (JSON).
        name: Name of the victim, for the record.
        seed: Seed of the objective's noise; weights and data have been seeded by the caller.
        accelerator: Lightning's accelerator.
        devices: Number of devices.
        progress: Show on standard error how far it is.

    Raises:
        ConfigError: `out` holds a run with another recipe, victim, data or seed; or a batch is more than all data.
        CheckpointError: The checkpoint of the run that is there is damaged.
        ResultError: `out` cannot be made.
        RunInterruptedError: Ctrl-C; the same call goes on from the last finished epoch.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(f"cannot write {out}: {error.strerror or error}; choose another --out") from error
    settings = {"victim": name, "data": _data(data), "seed": seed, "recipe": recipe.model_dump()}
    _claim(out, settings)
    if (out / RECORD).exists() and (out / WEIGHTS).exists():
        return out / WEIGHTS
    pl.seed_everything(seed, verbose=False)
    victim.train().requires_grad_(True)
    victim.configure_training(recipe)
    keeper = ModelCheckpoint(out, Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True)
    callbacks: list[Callback] = [EpochLog(out / METRICS), NoiseByEpoch(seed), keeper]
    if progress:
        callbacks.append(TrainingView(Console(stderr=True)))
    trainer = pl.Trainer(
        max_epochs=recipe.epochs,
        accelerator=accelerator,
        devices=devices,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    resumed = _checkpoint(out / LAST)
    started = time.monotonic()
    _fit(trainer, victim, data, resumed)
    if trainer.is_global_zero:
        _write(out, victim, settings, wall_time_s=time.monotonic() - started, resumed=resumed is not None)
    return out / WEIGHTS


def _fit(trainer: pl.Trainer, victim: Victim, data: pl.LightningDataModule, resumed: Path | None) -> None:
    """Fit. On Ctrl-C Lightning ends the process and lets further ones be ignored; callers get an error instead."""
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


class NoiseByEpoch(Callback):
    """Seeds the noise of an epoch by its number, so that a resumed run draws what an uninterrupted one draws."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Seed torch's generator."""
        torch.manual_seed(self.seed * 1_000_003 + trainer.current_epoch * 1009 + trainer.global_rank)


def _data(data: pl.LightningDataModule) -> dict[str, str | int]:
    """Return the name of the data set and how many of its samples are trained and validated on."""
    trained, validated = data.train_dataloader(), data.val_dataloader()
    return {
        "name": getattr(data, "name", type(data).__name__),
        "training": len(trained.sampler),
        "validation": len(validated.sampler),
    }


def _claim(out: Path, settings: dict[str, Any]) -> None:
    path = out / "settings.json"
    if path.exists():
        before = json.loads(path.read_text())
        # A run that was begun before a recipe could say something goes by that thing's default.
        before = {"data": settings["data"]} | before
        before["recipe"] = {name: field.default for name, field in Recipe.model_fields.items()} | before["recipe"]
        if before != settings:
            changed = sorted(key for key in settings if settings[key] != before.get(key))
            raise ConfigError(f"{out} holds a training run with another {', '.join(changed)}; choose another --out")
    write_whole(path, json.dumps(settings, indent=2).encode())


def _checkpoint(path: Path) -> Path | None:
    """Return the path of the checkpoint to go on from, if there is one."""
    if not path.exists():
        return None
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError, *CUT_SHORT) as error:
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}); delete it to train from the start"
        ) from error
    return path


def _write(out: Path, victim: Victim, settings: dict[str, Any], *, wall_time_s: float, resumed: bool) -> None:
    state = {key: value.detach().cpu().contiguous().clone() for key, value in victim.network.state_dict().items()}
    save_file(state, out / WEIGHTS)
    record = settings | {
        "sha256": hashlib.sha256((out / WEIGHTS).read_bytes()).hexdigest(),
        "epochs": read_epochs(out / METRICS),
        "wall_time_s": round(wall_time_s),
        "resumed": resumed,
        "torch": torch.__version__,
        "lightning": version("pytorch-lightning"),
    }
    write_whole(out / RECORD, json.dumps(record, indent=2).encode())
    log.info("weights and training record are in %s", out)
