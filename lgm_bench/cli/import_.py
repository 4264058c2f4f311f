"""`lgm-bench import`: store a published or trained checkpoint under its victim's name."""

from pathlib import Path
from typing import Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.errors import ConfigError


def import_(
    victim: opt.VictimName,
    path: Annotated[
        Path, typer.Argument(help="The weights (.pth, .pth.tar, .th, .safetensors), or the folder of a cascade's.")
    ],
    mean: opt.Mean = None,
    std: opt.Std = None,
    source: Annotated[str | None, typer.Option(help="Who published it, for the record.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the weights, for the record.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the store.", show_default="$LGM_BENCH_CHECKPOINTS, else in ~/.local/share"),
    ] = None,
) -> None:
    """Store a checkpoint, so that the victim's name alone finds it from then on.

    Examples:

    [dim]$[/] lgm-bench import skipnet110-cifar10 resnet-110-rnn-cifar10.pth.tar

    [dim]$[/] lgm-bench import dynconv8-cifar10 my.pth --mean .49,.48,.45 --std .25,.24,.26 --source "our lab"
    """
    from victims import import_checkpoint
    from victims.checkpoints import CheckpointStore

    means, stds = opt.of_channels(mean, "--mean"), opt.of_channels(std, "--std")
    if (means is None) != (stds is None):
        raise ConfigError("--mean and --std belong together; give both or neither")
    normalization = None if means is None or stds is None else (means, stds)
    stored = import_checkpoint(victim, path, out, normalization=normalization, source=source, licence=licence)
    entry = CheckpointStore(stored.parent).ready(victim)
    print(f"{victim}: stored as {stored}")
    if entry is not None:
        print(f"  source   {entry.source}\n  licence  {entry.licence or 'not known'}")
    if out is None:
        print(f"It is used from now on, for example: lgm-bench attack {victim} --limit 100")
