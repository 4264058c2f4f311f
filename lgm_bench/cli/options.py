"""The options that several verbs share, and how they become cells and settings of a run."""

from collections.abc import Mapping
from functools import partial
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
from lgm_bench.leaded import GRADIENTS, HARD_GRADIENTS

if TYPE_CHECKING:
    from lgm_bench.evaluation.cells.schema import RunOptions


DEFAULT_GRADIENT, *_ = GRADIENTS
DEFAULT_SOFT_GRADIENT = next(name for name in GRADIENTS if name not in HARD_GRADIENTS)
DEFAULT_PROTOCOL = "standard"
ATTACK, POINTS, VICTIM, RUNNING = "Attack", "Attack on points", "Victim and data", "Running"


def option(text: str, *flags: str, default: str | None = None, panel: str | None = None, **more: Any) -> Any:
    """Return an option with its help text.

    Args:
        text: The help text.
        flags: Names of the option, if the parameter's own is not enough.
        default: How --help shows the default.
        panel: Heading in --help.
        more: Further arguments of `typer.Option`.
    """
    return typer.Option(*flags, help=text, show_default=default or True, rich_help_panel=panel, **more)


_attack, _points, _victim, _running = (partial(option, panel=panel) for panel in (ATTACK, POINTS, VICTIM, RUNNING))


File = Annotated[
    Path | None, typer.Argument(help="A benchmark file of your own.", show_default="the shipped bench.yaml")
]
VictimName = Annotated[
    str,
    typer.Argument(
        help="Name of a victim (see `lgm-bench ls victims`), or package.module:Class of your own.",
        autocompletion=complete_victim,
    ),
]
DataRoot = Annotated[
    str | None,
    _victim("The data set's folder, or the folder above it. Without it: $LGM_BENCH_DATA/NAME, else ./data/NAME."),
]
Json = Annotated[bool, _running("Print JSON instead of tables.", "--json")]
Quiet = Annotated[bool, _running("Show no progress.", "--quiet", "-q")]

# Which cells of a benchmark file
Suites = Annotated[
    list[str] | None,
    option(
        "Run this suite of the file; repeatable.",
        "--suite",
        default="mini, or all of FILE",
        autocompletion=complete_suite,
    ),
]
Tables = Annotated[
    list[str] | None,
    option(
        "Run only the cells of this table of the paper, such as 4 or IV; repeatable. Without --suite it implies "
        "--suite paper.",
        "--table",
        autocompletion=complete_table,
    ),
]
Full = Annotated[
    bool, option("Run the suite's long part too, and print the architecture change of every cell.", "--full")
]
OnlyVictims = Annotated[
    list[str] | None,
    option("Run only the cells of this victim; repeatable.", "--victim", autocompletion=complete_victim),
]
Overrides = Annotated[
    list[str] | None, option("Override a value in the file; repeatable.", "--set", metavar="PATH=VALUE")
]
SkipMissing = Annotated[
    bool,
    option(
        "Run the cells that can run, and leave out those whose data, weights or code are missing or broken.",
        "--skip-missing",
    ),
]
ShardOf = Annotated[
    str | None,
    option(
        "Run only the I-th of N shares of the cells, for array jobs. The job that ends last writes the tables of all.",
        "--shard",
        metavar="I/N",
    ),
]
DryRun = Annotated[bool, option("Print the cells, their estimated cost and what is missing; run nothing.", "--dry-run")]

# The attack
AttackName = Annotated[
    str,
    _attack(
        "On images fgsm, bim, pgd, adam, cw, autopgd, autoattack, universal or noise; on points random, pointbim, "
        "pointpert or knnpert.",
        "--attack",
        autocompletion=complete_attack,
    ),
]
Protocol = Annotated[
    str,
    _attack(
        "standard: eps is the largest change, and images stay in [0, 1]; official: as in the paper's released runs, "
        "eps of images in units of 2/255."
    ),
]
Gradient = Annotated[
    str,
    _attack(
        "fgm, lgm, soft, straight-through or package.module:Class. Several, such as fgm,lgm,soft, attack the same "
        "samples and are compared with the first.",
        autocompletion=complete_gradient,
    ),
]
Step = Annotated[str | None, _attack("Size of a step, written like eps.", default="the attack's")]
Steps = Annotated[int | None, _attack("Number of iterations.", default="the attack's")]
ValidPixels = Annotated[float, _attack("Share of the pixels that may change, from 0 to 1.")]
Targeted = Annotated[bool, _attack("Target every other class in turn.", "--targeted")]
ActiveSet = Annotated[bool, _attack("Leave an image alone as soon as the attack has succeeded on it.", "--active-set")]
Relation = Annotated[str | None, _points("How points and voxels relate: sigmoid, bilinear or rbf.", default="sigmoid")]
InputSlope = Annotated[float | None, _points("Slope from points to voxels.", default="the released one, or --slope")]
OutputSlope = Annotated[float | None, _points("Slope from voxels to points.", default="the released one, or --slope")]
FloorSlope = Annotated[float | None, _points("Slope of the soft floor of the coordinates.", default="the released one")]
Loss = Annotated[
    str | None,
    _attack(
        "What the attack raises: cross_entropy, margin, dlr, lovasz (scenes), exits, last-exit, compute, compute-kept, "
        "underload, deepsloth, gradmdm or gradmdm-l2.",
        default="the attack's, or the released one",
    ),
]

# Victim and data
Checkpoint = Annotated[
    str | None, _victim('Path of the weights, or "random" for untrained ones.', default="the registered one")
]
Mean = Annotated[
    str | None,
    _victim("Mean of each channel that the victim subtracts, such as 0.49,0.48,0.45.", default="the checkpoint's"),
]
Std = Annotated[
    str | None,
    _victim(
        "Standard deviation of each channel that the victim divides by; belongs to --mean.", default="the checkpoint's"
    ),
]
Data = Annotated[
    str | None,
    _victim(
        "Name of the data set (see `lgm-bench ls data`), or package.module:Class of your own.",
        default="the one in the victim's name",
        autocompletion=complete_data,
    ),
]
Limit = Annotated[int | None, _victim("Use only the first LIMIT samples.", min=1)]
Seed = Annotated[int | None, option("Seed of all randomness.", min=0)]

# How to run
Out = Annotated[str | None, option("Results folder; finished cells in it are read, not run again.", default="results")]
BatchSize = Annotated[
    int | None,
    _running(
        "Samples per batch and process. On a CPU it changes no verdict on images and scenes.",
        default="100 images, 32 shapes, 1 scene",
        min=1,
    ),
]
Devices = Annotated[int | None, _running("Number of processes on this machine, one per device.", default="1", min=1)]
NumNodes = Annotated[int | None, _running("Number of machines; needs torchrun or srun.", default="1", min=1)]
Precision = Annotated[
    str | None,
    _running("Bits of a number: 32 or 64. Fewer are refused for attacks that follow a gradient.", default="32"),
]
ForcePrecision = Annotated[bool | None, _running("Allow a lower precision all the same.", "--force-precision")]
Accelerator = Annotated[str | None, _running("auto, cpu or gpu (cuda).", default="auto")]
SaveAdversarial = Annotated[
    bool | None,
    _running(
        "Keep every attacked image (.npz) and point cloud (.npz, .ply). Finished samples that have none are attacked "
        "again.",
        "--save-adversarial",
        "--save-clouds",
    ),
]
History = Annotated[
    bool | None,
    _running(
        "Judge images after every iteration, as points always are. Finished samples without that are attacked again.",
        "--history",
    ),
]
Backend = Annotated[
    str | None,
    _running(
        "Library for sparse convolutions: native, spconv-triton, spconv or minkowski.",
        default="spconv-triton on a GPU where it is installed, else native",
    ),
]
Report = Annotated[bool | None, _running("Write report.html.", "--report/--no-report", default="yes")]
Fresh = Annotated[bool, _running("Compute finished cells again.", "--fresh")]


def run_options(flags: Mapping[str, Any], base: "RunOptions | None" = None) -> "RunOptions":
    """Return the settings of a run: the flags that were given, else the values of a benchmark file."""
    from lgm_bench.evaluation.cells.config import check
    from lgm_bench.evaluation.cells.schema import RunOptions

    given = {name: flags[name] for name in RunOptions.model_fields if flags.get(name) is not None}
    return check(RunOptions, (base or RunOptions()).model_dump() | given, "command line")


def cell_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that attack and search share, in the form for `suites.cells_of_flags`.

    Raises:
        ConfigError: --mean or --std are not numbers.
    """
    plain = ["victim", "attack", "step", "steps", "valid_pixels", "targeted", "active_set", "protocol"]
    plain += ["relation", "input_slope", "output_slope", "floor_slope", "loss", "data", "subset", "seed"]
    checkpoint = flags["checkpoint"]
    if checkpoint not in (None, "random"):
        checkpoint = str(expanded(checkpoint).absolute())
    given = {name: flags[name] for name in plain} | {"checkpoint": checkpoint}
    return given | {name: of_channels(flags[name], f"--{name}") for name in ("mean", "std")}


def of_channels(text: str | None, name: str) -> list[float] | None:
    """Return the numbers of --mean or --std, one per channel.

    Raises:
        ConfigError: The text is not numbers.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers:
        raise ConfigError(f"{name} {text!r}: expected one number per channel, such as 0.485,0.456,0.406")
    return numbers
