"""`lgm-bench run`: run a suite of cells and print them as tables."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import show, show_json
from lgm_bench.errors import ConfigError

if TYPE_CHECKING:
    from lgm_bench.evaluation.cells.schema import BenchFile
    from lgm_bench.evaluation.cells.suites import Planned
    from lgm_bench.evaluation.estimates.preview import Preview

DEFAULT_SUITE, SUITE_OF_TABLES = "mini", "paper"


def run(
    file: opt.File = None,
    config: Annotated[Path | None, typer.Option(help="The same as FILE.")] = None,
    suite: opt.Suites = None,
    table: opt.Tables = None,
    full: opt.Full = False,
    victim: opt.OnlyVictims = None,
    overrides: opt.Overrides = None,
    skip_missing: opt.SkipMissing = False,
    shard: opt.ShardOf = None,
    dry_run: opt.DryRun = False,
    limit: opt.Limit = None,
    seed: opt.Seed = None,
    data_root: opt.DataRoot = None,
    out: opt.Out = None,
    batch_size: opt.BatchSize = None,
    devices: opt.Devices = None,
    accelerator: opt.Accelerator = None,
    num_nodes: opt.NumNodes = None,
    precision: opt.Precision = None,
    force_precision: opt.ForcePrecision = None,
    save_adversarial: opt.SaveAdversarial = None,
    history: opt.History = None,
    backend: opt.Backend = None,
    report: opt.Report = None,
    fresh: opt.Fresh = False,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Run a suite of cells and print the results as tables.

    Finished cells are read from the results folder, unless their weights, samples or your code have changed.
    The same command continues a run that was stopped.

    Exit code 2: something is missing or makes no sense; 3: a cell failed, and the others were run.

    Examples:

    [dim]$[/] lgm-bench run

    [dim]$[/] lgm-bench run --suite cifar10 --data-root ~/data --limit 500

    [dim]$[/] lgm-bench run --suite cifar10 --full --devices 2

    [dim]$[/] lgm-bench run --table 4 --skip-missing --data-root ~/data

    [dim]$[/] lgm-bench run --suite paper --skip-missing --shard 2/8

    [dim]$[/] lgm-bench run my.yaml --set defaults.seed=1 --dry-run
    """
    if file and config:
        raise ConfigError("name the file either as an argument or with --config, not both")
    bench, planned = planned_cells(file or config, suite, full=full, victims=victim, tables=table, overrides=overrides)
    changes: dict[str, Any] = {"data": {} if limit is None else {"limit": limit}}
    changes |= {"attack": {} if seed is None else {"seed": seed}} | ({} if history is None else {"history": history})
    planned = [replace(one, cell=one.cell.replace(**changes)) for one in planned]
    options = opt.run_options(locals(), bench.run)
    from lgm_bench.evaluation.cells.suites import Shard

    share = Shard.parse(shard).of(planned) if shard else planned
    from lgm_bench.cli.session import Session

    session = Session(options, quiet=quiet, fresh=fresh)
    if dry_run:
        _print_plan(session.preview(share, skip_missing=skip_missing), as_json)
    else:
        results = session.run(share, skip_missing=skip_missing, shard=shard is not None)
        session.finish(results, as_json=as_json, planned=planned, full=full)


def planned_cells(
    path: Path | None,
    suites: Sequence[str] | None,
    *,
    full: bool,
    victims: Sequence[str] | None,
    overrides: Sequence[str] | None,
    tables: Sequence[str] | None = None,
) -> tuple["BenchFile", list["Planned"]]:
    """Return a benchmark file and the cells of some of its suites.

    Args:
        path: The file; None for the shipped one.
        suites: Their names. None: all suites of a user's file; of the shipped one `mini`, or `paper` with `tables`.
        full: Include their long parts.
        victims: Keep only the cells of these victims; none keeps all.
        overrides: Texts "path=value".
        tables: Keep only the cells of these tables of the paper; none keeps all.

    Raises:
        LgmBenchError: A value in the file or the flags makes no sense.
    """
    from lgm_bench.evaluation.cells.config import load_bench
    from lgm_bench.evaluation.cells.suites import plan

    if path and not path.suffix and not path.exists() and str(path) in (known := load_bench().suites):
        raise ConfigError(f"no file {path}; {path} is one of the suites {', '.join(known)}: say --suite {path}")
    bench = load_bench(path, overrides or [])
    chosen = suites or (list(bench.suites) if path else [SUITE_OF_TABLES if tables else DEFAULT_SUITE])
    planned = plan(bench, chosen, full=full, victims=victims or [], tables=tables or [])
    if not planned:
        raise ConfigError(f"{' and '.join(chosen)}: no cells in it; add grids to the file, or --full for its long part")
    return bench, planned


def _print_plan(preview: "Preview", as_json: bool) -> None:
    from lgm_bench.cli.views.preview_table import preview_table

    if as_json:
        show_json(preview.as_json())
        return
    show(preview_table(preview))
    n_ready = sum(cell not in preview.missing for cell in preview.cells)
    print(f"{len(preview.cells)} cells, {n_ready} ready; nothing was run (--dry-run)")
