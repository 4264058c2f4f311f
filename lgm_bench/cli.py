"""The command line: one verb, one function."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer
from typer.core import TyperGroup

from lgm_bench import __version__
from lgm_bench.bench import options as opt
from lgm_bench.errors import ConfigError, LgmBenchError, UnknownNameError

if TYPE_CHECKING:
    from lgm_bench.bench.cell import Cell
    from lgm_bench.bench.runner import RunResults
    from lgm_bench.bench.schema import RunOptions
    from lgm_bench.bench.session import Session

BAD_USAGE, CELL_FAILED, INTERRUPTED = 2, 3, 130


class _Group(TyperGroup):
    """Prints our errors in a line, and on Ctrl-C how to go on."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            code = _interrupted()
        except LgmBenchError as error:
            code = _interrupted() if type(error).__name__ == "RunInterruptedError" else BAD_USAGE
            if code == BAD_USAGE:
                _complain(f"error: {error}")
        raise typer.Exit(code)


app = typer.Typer(
    name="lgm-bench",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    app(prog_name="lgm-bench")


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Measure the leaded gradient (LGM) against the dynamics-unaware one (FGM) on adaptive networks.

    Start with: lgm-bench ls, then lgm-bench run --suite cifar10 --data-root DIR
    """
    if version:
        print(f"lgm-bench {__version__}")
        raise typer.Exit


@app.command()
def run(
    file: Annotated[Path | None, typer.Argument(help="A benchmark file of your own; else the shipped one.")] = None,
    config: Annotated[Path | None, typer.Option(help="The same as FILE.")] = None,
    suite: Annotated[
        list[str] | None, typer.Option(help="A suite of the file; repeatable.", show_default="cifar10, or all of FILE")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Run the suite's long part too.")] = False,
    victim: Annotated[
        list[str] | None, typer.Option(help="Only this victim; repeatable.", autocompletion=opt.complete_victim)
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a value of the file; repeatable.")
    ] = None,
    skip_missing: opt.SkipMissing = False,
    dry_run: opt.DryRun = False,
    limit: opt.Limit = None,
    seed: opt.Seed = None,
    data_root: opt.DataRoot = None,
    out: opt.Out = None,
    batch_size: opt.BatchSize = None,
    devices: opt.Devices = None,
    accelerator: opt.Accelerator = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Run a suite of cells and print them as the paper's tables.

    A cell that is finished in the results folder is read from there; a killed run goes on where it was.

    Examples:

    [dim]$[/] lgm-bench run --suite cifar10 --data-root ~/data --limit 500

    [dim]$[/] lgm-bench run --suite cifar10 --full --devices 2

    [dim]$[/] lgm-bench run my.yaml --set defaults.protocol=paper --dry-run
    """
    from lgm_bench.bench.config import load_bench
    from lgm_bench.bench.session import Session
    from lgm_bench.bench.suites import Planned, plan

    if file and config:
        raise ConfigError("give the file either as an argument or with --config")
    path = file or config
    changes = {"limit": limit, "seed": seed}
    bench = load_bench(path, overrides or [])
    suites = suite or (list(bench.suites) if path else ["cifar10"])
    planned = plan(bench, suites, full=full, victims=victim or [])
    planned = [Planned(_changed(one.cell, changes), one.optional) for one in planned]
    flags = {"out": out, "data_root": data_root, "batch_size": batch_size, "devices": devices}
    session = Session(_options(bench.run, {**flags, "accelerator": accelerator}), quiet=quiet)
    if dry_run:
        _print_plan(session, planned, as_json)
    else:
        _finish(session, session.run(planned, skip_missing=skip_missing), as_json)


@app.command()
def attack(
    victim: opt.VictimName,
    attack: opt.AttackName = "fgsm",
    eps: Annotated[float, typer.Option(help="Largest change, in 1/255.")] = 8.0,
    gradient: Annotated[str, typer.Option(help="fgm or lgm.")] = "fgm",
    slope: Annotated[float | None, typer.Option(help="Slope of LGM.", show_default="the released one")] = None,
    forward: opt.Forward = "soft",
    step: opt.Step = None,
    steps: opt.Steps = None,
    valid_pixels: opt.ValidPixels = 1.0,
    targeted: opt.Targeted = False,
    active_set: opt.ActiveSet = False,
    protocol: opt.Protocol = "official",
    data: opt.Data = None,
    subset: Annotated[str, typer.Option(help="test, train or holdout.")] = "test",
    checkpoint: opt.Checkpoint = None,
    mean: opt.Mean = None,
    std: opt.Std = None,
    limit: opt.Limit = None,
    seed: opt.Seed = 0,
    data_root: opt.DataRoot = None,
    out: opt.Out = None,
    batch_size: opt.BatchSize = None,
    devices: opt.Devices = None,
    accelerator: opt.Accelerator = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Attack one victim in one way.

    Examples:

    [dim]$[/] lgm-bench attack dynconv20-cifar10 --attack fgsm --eps 2 --gradient lgm --slope 0.5

    [dim]$[/] lgm-bench attack resnet32-cifar10 --attack bim --valid-pixels 0.05 --limit 100

    [dim]$[/] lgm-bench attack dynconv8-cifar10 --checkpoint my.pth --attack pgd --steps 20 --targeted
    """
    from lgm_bench.bench.session import Session
    from lgm_bench.bench.suites import Planned, single_cell

    cell = single_cell({**_cell_flags(locals()), "eps": eps, "gradient": gradient, "slope": slope, "limit": limit})
    session = Session(_options(None, locals()), quiet=quiet)
    results = session.run([Planned(cell)])
    if results.failures and isinstance(results.failures[0][1], LgmBenchError):
        raise results.failures[0][1]
    _finish(session, results, as_json, write=False)


@app.command()
def search(
    victim: opt.VictimName,
    attack: opt.AttackName = "fgsm",
    eps: Annotated[str, typer.Option(help="One or more, in 1/255.")] = "1,2,4,8",
    slopes: Annotated[
        str | None, typer.Option(help="Such as 0.1,0.5,1 or from:to:by.", show_default="a range for the attack")
    ] = None,
    forward: opt.Forward = "soft",
    step: opt.Step = None,
    steps: opt.Steps = None,
    valid_pixels: opt.ValidPixels = 1.0,
    targeted: opt.Targeted = False,
    active_set: opt.ActiveSet = False,
    protocol: opt.Protocol = "official",
    data: opt.Data = None,
    subset: Annotated[str, typer.Option(help="holdout: training images that training leaves out.")] = "holdout",
    checkpoint: opt.Checkpoint = None,
    mean: opt.Mean = None,
    std: opt.Std = None,
    limit: opt.Limit = 1000,
    seed: opt.Seed = 0,
    data_root: opt.DataRoot = None,
    out: opt.Out = None,
    batch_size: opt.BatchSize = None,
    devices: opt.Devices = None,
    accelerator: opt.Accelerator = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Find the slope of the leaded gradient at which an attack is strongest.

    Tries every slope at every eps on held-out data, prints what is left and names the best; search.json keeps it all.

    Examples:

    [dim]$[/] lgm-bench search dynconv20-cifar10 --eps 1,2,4,8 --slopes 0.1,0.2,0.5,1,2

    [dim]$[/] lgm-bench search skipnet20-cifar10 --attack bim --valid-pixels 0.05 --eps 8 --slopes 5:40:5 --limit 200
    """
    from lgm_bench.bench.search import Search, parse_numbers, search_cells
    from lgm_bench.bench.session import Session
    from lgm_bench.bench.suites import Planned, single_cell

    flags = {**_cell_flags(locals()), "limit": limit, "gradient": "fgm"}
    widths = parse_numbers(eps, "--eps")
    base = [single_cell({**flags, "eps": width}) for width in widths][0]
    single_cell({**flags, "eps": widths[0], "gradient": "lgm", "slope": 1.0})
    cells = search_cells(base, widths, parse_numbers(slopes, "--slopes") if slopes else [])
    session = Session(_options(None, locals()), quiet=quiet)
    results = session.run([Planned(cell) for cell in cells])
    if results:
        found = Search(tuple(results))
        session.save("search.json", json.dumps(found.record(), indent=2) + "\n")
        _print_search(session, found, as_json)
    _fail(session, results)


@app.command()
def ls(
    kind: Annotated[str | None, typer.Argument(help="victims, data, attacks or suites.", show_default="all")] = None,
    data_root: opt.DataRoot = None,
    as_json: opt.Json = False,
) -> None:
    """List victims, data sets, attacks and suites, and which are ready here.

    Examples:

    [dim]$[/] lgm-bench ls

    [dim]$[/] lgm-bench ls victims --json
    """
    from lgm_bench.bench.inventory import KINDS, as_table

    if kind is not None and kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    items = {name: list_items(data_root) for name, list_items in KINDS.items() if kind in (None, name)}
    if as_json:
        print(json.dumps(items, indent=2))
        return
    for name, found in items.items():
        _rich_print(as_table(name, found))


@app.command("import")
def import_(
    victim: opt.VictimName,
    path: Annotated[Path, typer.Argument(help="The published file: .pth, .pth.tar, .th or .safetensors.")],
    mean: opt.Mean = None,
    std: opt.Std = None,
    source: Annotated[str | None, typer.Option(help="Who published it, for the record.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the weights, for the record.")] = None,
    out: Annotated[Path | None, typer.Option(help="Checkpoint folder.", show_default="your own")] = None,
) -> None:
    """Import a published checkpoint, so that the victim's name is enough from then on.

    Examples:

    [dim]$[/] lgm-bench import skipnet110-cifar10 resnet-110-rnn-cifar10.pth.tar

    [dim]$[/] lgm-bench import resnet32-cifar10 resnet32-d509ac18.th --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    from victims import import_checkpoint

    means, stds = opt.triple(mean, "--mean"), opt.triple(std, "--std")
    if (means is None) != (stds is None):
        raise ConfigError("--mean and --std belong together; give both or neither")
    normalization = None if means is None or stds is None else (means, stds)
    stored = import_checkpoint(victim, path, out, normalization=normalization, source=source, licence=licence)
    print(f"{victim}: stored as {stored}")


def _cell_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags that attack and search share, as `single_cell` takes them."""
    plain = ("victim", "attack", "forward", "step", "steps", "valid_pixels", "targeted", "active_set", "protocol")
    found = {name: flags[name] for name in (*plain, "data", "subset", "seed")}
    found |= {name: opt.triple(flags[name], f"--{name}") for name in ("mean", "std")}
    return found | {"checkpoint": opt.checkpoint_path(flags["checkpoint"])}


def _options(base: "RunOptions | None", flags: dict[str, Any]) -> "RunOptions":
    """Return how to run: flags over the file's values."""
    from lgm_bench.bench.schema import RunOptions

    given = {name: flags[name] for name in RunOptions.model_fields if flags.get(name) is not None}
    return (base or RunOptions()).model_copy(update=given)


def _changed(cell: "Cell", changes: dict[str, Any]) -> "Cell":
    from dataclasses import replace

    return replace(cell, **{name: value for name, value in changes.items() if value is not None})


def _print_plan(session: "Session", planned: Sequence[Any], as_json: bool) -> None:
    from dataclasses import asdict

    from lgm_bench.bench.live import describe

    missing = {cell for gap in session.gaps(planned) for cell in gap.cells}
    if as_json:
        print(json.dumps([{**asdict(one.cell), "ready": one.cell not in missing} for one in planned], indent=2))
        return
    for one in planned:
        print(f"{'missing' if one.cell in missing else 'ready  '}  {describe(one.cell)}")
    print(f"{len(planned)} cells, {sum(one.cell not in missing for one in planned)} ready; nothing was run (--dry-run)")


def _finish(session: "Session", results: "RunResults", as_json: bool, write: bool = True) -> None:
    """Write and print the tables; exit with the code for failed cells if there are any."""
    from lgm_bench.bench import session as sessions
    from lgm_bench.bench.table_formats import to_rich
    from lgm_bench.bench.tables import build_tables

    tables = (session.write(results) if write else build_tables(results)) if results else []
    if as_json:
        print(json.dumps(sessions.as_json(results), indent=2))
    else:
        for table in tables:
            _rich_print(to_rich(table))
        print(f"Results are in {session.options.out}")
    _fail(session, results)


def _print_search(session: "Session", found: Any, as_json: bool) -> None:
    from lgm_bench.bench.table_formats import to_rich

    if as_json:
        print(json.dumps(found.record(), indent=2))
        return
    _rich_print(to_rich(found.table()))
    for eps, slope in found.best().items():
        print(f"best slope at eps {eps:g}: {slope:g}")
    print(f"For a benchmark file: {found.yaml()}")
    print(f"Results are in {session.options.out}/search.json")


def _fail(session: "Session", results: "RunResults") -> None:
    from lgm_bench.bench.live import describe

    for cell, error in results.failures:
        _complain(f"failed: {describe(cell)}: {type(error).__name__}: {error}")
    if results.failures:
        _complain(f"{len(results.failures)} cells failed; the same command tries them again")
        raise typer.Exit(CELL_FAILED)


def _interrupted() -> int:
    command = shlex.join(["lgm-bench", *sys.argv[1:]])
    _complain(f"interrupted; finished batches are kept. To go on: {command}")
    return INTERRUPTED


def _rich_print(renderable: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160).print(renderable)


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
