"""`lgm-bench train`: train a victim by a recipe; a stopped run can be resumed."""

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import show_json
from lgm_bench.errors import ConfigError
from lgm_bench.registry import resolve

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule


def train(
    victim: opt.VictimName,
    data_root: opt.DataRoot = None,
    data: opt.Data = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe of your own (YAML).", show_default="the shipped one")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; a run in it is resumed.",
            show_default="runs/VICTIM-seedN, or runs/VICTIM-adversarial-seedN",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, help="Seed of the weights, the order of the samples, augmentation and noise."
        ),
    ] = 0,
    adversarial: Annotated[
        bool, typer.Option("--adversarial", help="Train on adversarial images; for image classifiers.")
    ] = False,
    gradient: Annotated[
        str | None,
        typer.Option(help="Gradient of the adversarial images: fgm or lgm.", show_default="that of the recipe"),
    ] = None,
    devices: opt.Devices = None,
    accelerator: opt.Accelerator = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Train a victim. A run that was stopped continues from its last finished epoch.

    The recipe sets the epochs, the batch size per device and the share of the units to execute.

    With --adversarial, every batch is attacked first: by one step within 8/255 from a random start (N-FGSM), unless the
    recipe has other settings. After every epoch the log has the accuracy under PGD on some held-out images.

    The folder of the run holds the log (CSV), the last checkpoint, and at the end the weights with their record.

    Examples:

    [dim]$[/] lgm-bench train dynconv20-cifar10 --data-root ~/data

    [dim]$[/] lgm-bench train dynconv20-cifar10 --adversarial --gradient lgm --data-root ~/data

    [dim]$[/] lgm-bench train my_package.networks:Net --data cifar10 --recipe my.yaml --out runs/mine --seed 1
    """
    from lgm_bench.evaluation.cells.suites import data_of
    from victims.training.recipe import load_recipe, with_adversarial

    name = data or data_of(victim)
    chosen = with_adversarial(load_recipe(victim, recipe), adversarial, gradient)
    suffix = "-adversarial" * adversarial
    folder = out or Path("runs") / f"{victim.replace(':', '.')}{suffix}-seed{seed}"
    module = _datamodule(name, data_root, chosen.batch_size, seed)
    from lgm_bench.training import runs as training
    from victims import load_victim

    network = load_victim(victim, "random", seed=seed)
    before = training.finished(folder)
    weights = training.train(
        network,
        module,
        chosen,
        folder,
        name=victim,
        seed=seed,
        accelerator=accelerator or "auto",
        devices=devices or 1,
        progress=not quiet,
    )
    if os.environ.get("LOCAL_RANK", "0") == "0":
        where = ["--data", data] if data else []
        where += ["--data-root", data_root] if data_root else []
        _report(victim, weights, where, as_json, before=before)


def _datamodule(name: str, data_root: str | None, batch_size: int, seed: int) -> "LightningDataModule":
    """Return the data set after reading it, so that missing or damaged files are reported before training starts."""
    from pytorch_lightning import LightningDataModule

    from datamodules import DATAMODULES, load_datamodule

    kind = resolve("data set", name, DATAMODULES)
    if getattr(kind, "train_dataloader", None) is LightningDataModule.train_dataloader:
        raise ConfigError(f"data set {name!r} cannot be trained on: it has no train_dataloader; choose another --data")
    module = load_datamodule(name, data_root=data_root, batch_size=batch_size, seed=seed)
    module.prepare_data()
    module.setup("fit")
    return module


def _report(victim: str, weights: Path, where: list[str], as_json: bool, *, before: bool) -> None:
    from lgm_bench.training.runs import METRICS, RECORD

    record = json.loads((weights.parent / RECORD).read_text())
    if as_json:
        show_json(record | {"weights": str(weights)})
        return
    last = record["epochs"][-1] if record["epochs"] else {}
    figures = [f"accuracy {last['accuracy']:.2%}"] if "accuracy" in last else []
    figures += [f"{last['always_on_accuracy']:.2%} with every gate on"] if "always_on_accuracy" in last else []
    figures += [f"mIoU {last['miou']:.2%}"] if "miou" in last else []
    figures += [f"{last['executed_units']:.1%} of the units executed"] if "executed_units" in last else []
    figures += [f"{last['decided_by_image']:.1%} decided by the image"] if "decided_by_image" in last else []
    data, epochs = record["data"], len(record["epochs"])
    print(f"{victim}: {epochs} epochs of {data['training']} samples of {data['name']}{', done before' * before}")
    print(f"  on {data['validation']} held-out training samples: {', '.join(figures) or 'unknown'}")
    print(f"  weights  {weights}\n  record   {weights.parent / RECORD}\n  log      {weights.parent / METRICS}")
    print("To attack these weights, or to make them the victim's default:")
    attack = ["attack", victim, *where, "--checkpoint", str(weights)]
    for command in (attack, ["import", victim, str(weights), "--source", "trained here"]):
        print(f"  {shlex.join(['lgm-bench', *command])}")
