"""The options that several verbs share, and what becomes of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lgm_bench.cli.completion import (
    complete_attack,
    complete_data,
    complete_gradient,
    complete_suite,
    complete_table,
    complete_victim,
)
from lgm_bench.errors import ConfigError
from lgm_bench.files import expanded

if TYPE_CHECKING:
    from lgm_bench.evaluation.cells.schema import RunOptions


GRADIENT, SLOPED = "fgm", "lgm"
"""Gradients that attack and search take where none is named."""
PROTOCOL = "standard"
ATTACK, POINTS, VICTIM, RUNNING = "Attack", "Attack on points", "Victim and data", "Running"


def option(text: str, *flags: str, default: str | None = None, panel: str | None = None, **more: Any) -> Any:
    """Return an option with a help text; `flags` where its name is not enough, `default` as --help shows it."""
    return typer.Option(*flags, help=text, show_default=default or True, rich_help_panel=panel, **more)


File = Annotated[
    Path | None, typer.Argument(help="A benchmark file of your own.", show_default="the shipped bench.yaml")
]
VictimName = Annotated[str, typer.Argument(help="Name of a victim (see `ls victims`).", autocompletion=complete_victim)]
DataRoot = Annotated[
    str | None,
    option(
        "Folder of the data set, or the one that holds it. Otherwise $LGM_BENCH_DATA/NAME, else ./data/NAME.",
        panel=VICTIM,
    ),
]
Json = Annotated[bool, option("Print JSON instead of tables.", "--json", panel=RUNNING)]
Quiet = Annotated[bool, option("Show no progress.", "--quiet", "-q", panel=RUNNING)]

# What of a benchmark file is run
Suites = Annotated[
    list[str] | None,
    option(
        "A suite of the file; repeatable.",
        "--suite",
        default="mini, or all of FILE",
        autocompletion=complete_suite,
    ),
]
Tables = Annotated[
    list[str] | None,
    option(
        "Only the cells of this table of the paper, such as 4 or IV; repeatable. Alone it means --suite paper.",
        "--table",
        autocompletion=complete_table,
    ),
]
Full = Annotated[bool, option("The suite's long part too.", "--full")]
OnlyVictims = Annotated[
    list[str] | None, option("Only this victim; repeatable.", "--victim", autocompletion=complete_victim)
]
Overrides = Annotated[
    list[str] | None, option("Override a value of the file; repeatable.", "--set", metavar="PATH=VALUE")
]
SkipMissing = Annotated[bool, option("Run what can run; leave out what lacks something.", "--skip-missing")]
ShardOf = Annotated[
    str | None,
    option(
        "Only the I-th of N shares of the cells, for array jobs; the last one's tables hold all cells.",
        "--shard",
        metavar="I/N",
    ),
]
DryRun = Annotated[bool, option("Print the cells, what each costs and what is missing; run nothing.", "--dry-run")]

# The attack
AttackName = Annotated[
    str,
    option(
        "fgsm, bim, pgd, cw, autopgd, autoattack; of points: random, pointbim, pointpert, knnpert.",
        "--attack",
        panel=ATTACK,
        autocompletion=complete_attack,
    ),
]
Protocol = Annotated[
    str,
    option(
        "standard: eps is what it is, images stay in [0, 1]; official: as the released runs, eps in 2/255.",
        panel=ATTACK,
    ),
]
Gradient = Annotated[
    str,
    option(
        "fgm, lgm, soft, straight-through, or package.module:Class; several side by side (fgm,lgm,soft), the first "
        "of which the others are compared with.",
        panel=ATTACK,
        autocompletion=complete_gradient,
    ),
]
Step = Annotated[str | None, option("Step, written as eps.", default="the attack's", panel=ATTACK)]
Steps = Annotated[int | None, option("Iterations.", default="the attack's", panel=ATTACK)]
ValidPixels = Annotated[float, option("Share of the pixels that may change.", panel=ATTACK)]
Targeted = Annotated[bool, option("Make every class in turn the target.", "--targeted", panel=ATTACK)]
ActiveSet = Annotated[bool, option("Stop working on images that have fallen.", "--active-set", panel=ATTACK)]
Relation = Annotated[
    str | None, option("Of points and voxels: sigmoid, bilinear or rbf.", default="sigmoid", panel=POINTS)
]
InputSlope = Annotated[
    float | None, option("Slope from points to voxels.", default="released, or --slope", panel=POINTS)
]
OutputSlope = Annotated[
    float | None, option("Slope from voxels to points.", default="released, or --slope", panel=POINTS)
]
FloorSlope = Annotated[
    float | None, option("Slope of the soft floor of coordinates.", default="released", panel=POINTS)
]
Loss = Annotated[
    str | None,
    option(
        "What is raised: cross_entropy, margin, dlr; lovasz (scenes); exits, last-exit; compute, compute-kept, "
        "underload, deepsloth.",
        default="the attack's, or the released one",
        panel=ATTACK,
    ),
]

# Victim and data
Checkpoint = Annotated[
    str | None, option('Path, or "random" for untrained weights.', default="the registered one", panel=VICTIM)
]
Mean = Annotated[
    str | None,
    option("Three numbers in [0, 1] such as 0.49,0.48,0.45.", default="the checkpoint's", panel=VICTIM),
]
Std = Annotated[str | None, option("As --mean.", default="the checkpoint's", panel=VICTIM)]
Data = Annotated[
    str | None,
    option("Data set.", default="the one in the victim's name", panel=VICTIM, autocompletion=complete_data),
]
Limit = Annotated[int | None, option("Only the first so many samples.", panel=VICTIM, min=1)]
Seed = Annotated[int | None, option("Seed of all randomness.", min=0)]

# How to run
Out = Annotated[str | None, option("Results folder; results in it are reused.", default="results")]
BatchSize = Annotated[
    int | None,
    option(
        "Samples per batch and process; changes no result.",
        default="100 images, 32 shapes, 1 scene",
        panel=RUNNING,
        min=1,
    ),
]
Devices = Annotated[int | None, option("Number of processes, one a device.", default="1", panel=RUNNING, min=1)]
NumNodes = Annotated[
    int | None, option("Number of machines; torchrun or srun starts them.", default="1", panel=RUNNING, min=1)
]
Precision = Annotated[
    str | None, option("32 or 64; lower ones are refused for sign attacks.", default="32", panel=RUNNING)
]
ForcePrecision = Annotated[
    bool | None, option("Take a lower precision all the same.", "--force-precision", panel=RUNNING)
]
Accelerator = Annotated[str | None, option("auto, cpu or gpu (cuda).", default="auto", panel=RUNNING)]
SaveAdversarial = Annotated[
    bool | None,
    option(
        "Keep all attacked images (.npz) and point clouds (.npz, .ply); samples without one are attacked again.",
        "--save-adversarial",
        "--save-clouds",
        panel=RUNNING,
    ),
]
History = Annotated[
    bool | None,
    option(
        "Judge every iterate of attacks on images, as those of attacks on points are; images without are attacked "
        "again.",
        "--history",
        panel=RUNNING,
    ),
]
Backend = Annotated[
    str | None,
    option("What computes sparse convolutions: native, minkowski or spconv.", default="native", panel=RUNNING),
]
Report = Annotated[bool | None, option("Write report.html.", "--report/--no-report", default="yes", panel=RUNNING)]
Fresh = Annotated[bool, option("Compute again what is finished in the results folder.", "--fresh", panel=RUNNING)]


def run_options(flags: Mapping[str, Any], base: "RunOptions | None" = None) -> "RunOptions":
    """Return how to run: the flags that were given, over the values of a benchmark file."""
    from lgm_bench.evaluation.cells.config import check
    from lgm_bench.evaluation.cells.schema import RunOptions

    given = {name: flags[name] for name in RunOptions.model_fields if flags.get(name) is not None}
    return check(RunOptions, (base or RunOptions()).model_dump() | given, "command line")


def cell_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that attack and search share, as `suites.cells_of_flags` takes them.

    Raises:
        ConfigError: --mean or --std are no numbers.
    """
    plain = ["victim", "attack", "step", "steps", "valid_pixels", "targeted", "active_set", "protocol"]
    plain += ["relation", "input_slope", "output_slope", "floor_slope", "loss"]
    found = {name: flags[name] for name in (*plain, "data", "subset", "seed")}
    found |= {name: of_channels(flags[name], f"--{name}") for name in ("mean", "std")}
    return found | {"checkpoint": checkpoint_path(flags["checkpoint"])}


def of_channels(text: str | None, name: str) -> list[float] | None:
    """Return the numbers of --mean or --std, one for each channel.

    Raises:
        ConfigError: They are no numbers.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers:
        raise ConfigError(f"{name} {text!r}: expected a number for each channel such as 0.485,0.456,0.406")
    return numbers


def checkpoint_path(text: str | None) -> str | None:
    """Return a checkpoint as the cell holds it: "random", an absolute path or None."""
    return text if text in (None, "random") else str(expanded(text).absolute())
