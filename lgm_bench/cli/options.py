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

if TYPE_CHECKING:
    from lgm_bench.evaluation.cells.schema import RunOptions


GRADIENT, SLOPED = "fgm", "lgm"
"""Gradients that attack and search take where none is named."""
PROTOCOL = "standard"
ATTACK, POINTS, VICTIM, RUNNING = "Attack", "Attack on points", "Victim and data", "Running"

File = Annotated[
    Path | None, typer.Argument(help="A benchmark file of your own.", show_default="the shipped bench.yaml")
]
Suites = Annotated[
    list[str] | None,
    typer.Option(
        "--suite",
        help="A suite of the file; repeatable.",
        show_default="mini, or all of FILE",
        autocompletion=complete_suite,
    ),
]
Tables = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        help="Only the cells of this table of the paper, such as 4 or IV; repeatable. Alone it means --suite paper.",
        autocompletion=complete_table,
    ),
]
Full = Annotated[bool, typer.Option("--full", help="The suite's long part too.")]
OnlyVictims = Annotated[
    list[str] | None,
    typer.Option("--victim", help="Only this victim; repeatable.", autocompletion=complete_victim),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a value of the file; repeatable.")
]
VictimName = Annotated[str, typer.Argument(help="Name of a victim (see `ls victims`).", autocompletion=complete_victim)]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many samples.", rich_help_panel=VICTIM)]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of all randomness.")]
DataRoot = Annotated[
    str | None,
    typer.Option(
        help="Folder of the data set, or the one that holds it. Otherwise $LGM_BENCH_DATA/NAME, else ./data/NAME.",
        rich_help_panel=VICTIM,
    ),
]
Out = Annotated[str | None, typer.Option(help="Results folder; results in it are reused.", show_default="results")]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Samples per batch and process; changes no result.",
        show_default="100 images, 32 shapes, 1 scene",
        rich_help_panel=RUNNING,
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(min=1, help="Number of processes, one a device.", show_default="1", rich_help_panel=RUNNING),
]
NumNodes = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of machines; torchrun or srun starts them.", show_default="1", rich_help_panel=RUNNING
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help="32 or 64; lower ones are refused for sign attacks.", show_default="32", rich_help_panel=RUNNING),
]
ForcePrecision = Annotated[
    bool | None, typer.Option("--force-precision", help="Take a lower precision all the same.", rich_help_panel=RUNNING)
]
Accelerator = Annotated[
    str | None,
    typer.Option(help="auto, cpu or gpu (cuda).", show_default="auto", rich_help_panel=RUNNING),
]
SaveAdversarial = Annotated[
    bool | None,
    typer.Option(
        "--save-adversarial",
        "--save-clouds",
        help="Keep all attacked images (.npz) and point clouds (.npz, .ply); samples without one are attacked again.",
        rich_help_panel=RUNNING,
    ),
]
History = Annotated[
    bool | None,
    typer.Option(
        "--history",
        help="Judge every iterate of attacks on images, as those of attacks on points are; images without are attacked "
        "again.",
        rich_help_panel=RUNNING,
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        help="What computes sparse convolutions: native, minkowski or spconv.",
        show_default="native",
        rich_help_panel=RUNNING,
    ),
]
Report = Annotated[
    bool | None,
    typer.Option("--report/--no-report", help="Write report.html.", show_default="yes", rich_help_panel=RUNNING),
]
Fresh = Annotated[
    bool,
    typer.Option("--fresh", help="Compute again what is finished in the results folder.", rich_help_panel=RUNNING),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=RUNNING)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.", rich_help_panel=RUNNING)]
SkipMissing = Annotated[bool, typer.Option("--skip-missing", help="Run what can run; leave out what lacks something.")]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only the I-th of N shares of the cells, for array jobs; the last one's tables hold all cells.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the cells, what each costs and what is missing; run nothing.")
]

AttackName = Annotated[
    str,
    typer.Option(
        "--attack",
        help="fgsm, bim, pgd, cw, autopgd, autoattack; of points: random, pointbim, pointpert, knnpert.",
        rich_help_panel=ATTACK,
        autocompletion=complete_attack,
    ),
]
Protocol = Annotated[
    str,
    typer.Option(
        help="standard: eps is what it is, images stay in [0, 1]; official: as the released runs, eps in 2/255.",
        rich_help_panel=ATTACK,
    ),
]
Gradient = Annotated[
    str,
    typer.Option(
        help="fgm, lgm, soft, straight-through, or package.module:Class; several side by side (fgm,lgm,soft), the "
        "first of which the others are compared with.",
        rich_help_panel=ATTACK,
        autocompletion=complete_gradient,
    ),
]
Step = Annotated[
    str | None, typer.Option(help="Step, written as eps.", show_default="the attack's", rich_help_panel=ATTACK)
]
Steps = Annotated[int | None, typer.Option(help="Iterations.", show_default="the attack's", rich_help_panel=ATTACK)]
ValidPixels = Annotated[float, typer.Option(help="Share of the pixels that may change.", rich_help_panel=ATTACK)]
Targeted = Annotated[
    bool, typer.Option("--targeted", help="Make every class in turn the target.", rich_help_panel=ATTACK)
]
ActiveSet = Annotated[
    bool, typer.Option("--active-set", help="Stop working on images that have fallen.", rich_help_panel=ATTACK)
]
Relation = Annotated[
    str | None,
    typer.Option(
        help="Of points and voxels: sigmoid, bilinear or rbf.", show_default="sigmoid", rich_help_panel=POINTS
    ),
]
InputSlope = Annotated[
    float | None,
    typer.Option(help="Slope from points to voxels.", show_default="released, or --slope", rich_help_panel=POINTS),
]
OutputSlope = Annotated[
    float | None,
    typer.Option(help="Slope from voxels to points.", show_default="released, or --slope", rich_help_panel=POINTS),
]
FloorSlope = Annotated[
    float | None,
    typer.Option(help="Slope of the soft floor of coordinates.", show_default="released", rich_help_panel=POINTS),
]
Loss = Annotated[
    str | None,
    typer.Option(help="cross_entropy or lovasz.", show_default="released, or cross_entropy", rich_help_panel=POINTS),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        help='Path, or "random" for untrained weights.', show_default="the registered one", rich_help_panel=VICTIM
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        help="Three numbers in [0, 1] such as 0.49,0.48,0.45.", show_default="the checkpoint's", rich_help_panel=VICTIM
    ),
]
Std = Annotated[str | None, typer.Option(help="As --mean.", show_default="the checkpoint's", rich_help_panel=VICTIM)]
Data = Annotated[
    str | None,
    typer.Option(
        help="Data set.",
        show_default="the one in the victim's name",
        rich_help_panel=VICTIM,
        autocompletion=complete_data,
    ),
]


def eps_or_default(given: str | None, attack: str, *, images: str, points: str) -> str:
    """Return --eps, or what stands for it where it is not given."""
    from lgm_bench.evaluation.cells.kinds import takes_points

    return given if given is not None else points if takes_points(attack) else images


def run_options(flags: Mapping[str, Any], base: "RunOptions | None" = None) -> "RunOptions":
    """Return how to run: the flags that were given, over the values of a benchmark file."""
    from lgm_bench.evaluation.cells.schema import RunOptions

    given = {name: flags[name] for name in RunOptions.model_fields if flags.get(name) is not None}
    return (base or RunOptions()).model_copy(update=given)


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
    return text if text in (None, "random") else str(Path(text).expanduser().resolve())
