"""`lgm-bench data`: keep a form of a data set that is read faster."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import PlainConsole, complain
from lgm_bench.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress


class Action(StrEnum):
    """What can be done with a data set."""

    PREPARE = "prepare"


def data(
    action: Annotated[Action, typer.Argument(help="prepare: keep a form of the data that is read faster.")],  # noqa: ARG001
    name: Annotated[str, typer.Argument(help="Data set (see `lgm-bench ls data`).")],
    data_root: opt.DataRoot = None,
    quiet: opt.Quiet = False,
) -> None:
    """Prepare a data set of point clouds so that later runs read it faster. This is optional.

    The prepared form lies beside the data, in .lgm-bench-cache; it can be deleted at any time. The same command
    continues after a stop, and prepares files again that have changed.

    Examples:

    [dim]$[/] lgm-bench data prepare modelnet40 --data-root ~/data
    """
    from datamodules import load_datamodule
    from datamodules.point_datamodule import PointDataModule
    from datamodules.prepared import prepare

    datamodule = load_datamodule(name, data_root=data_root)
    if not isinstance(datamodule, PointDataModule):
        raise ConfigError(f"{name} is read fast without preparation; only point clouds are prepared")
    with _progress(quiet=quiet) as bar:
        task = bar.add_task(f"preparing {name}", total=None)
        outcome = prepare(datamodule, lambda done, total: bar.update(task, completed=done, total=total))
    for subset, reason in () if quiet else outcome.absent:
        complain(f"{name}: subset {subset} is left out: {reason}")
    if outcome.fast and not outcome.written + outcome.kept:
        print(f"{name}: nothing to prepare, since its {outcome.fast} scenes are read fast already")
    else:
        print(f"{name}: {outcome.written} scenes prepared, {outcome.kept} were prepared before")


def _progress(*, quiet: bool) -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = PlainConsole(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("left"), console=console, disable=quiet or not console.is_terminal)
