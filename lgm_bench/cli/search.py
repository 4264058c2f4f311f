"""`lgm-bench search`: find the slope at which an attack is strongest."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import complain, show, show_json
from lgm_bench.errors import ConfigError

if TYPE_CHECKING:
    from lgm_bench.cli.session import Session
    from lgm_bench.cli.slope_search import Search
    from lgm_bench.evaluation.cells.cell import Cell


def search(
    victim: opt.VictimName,
    attack: opt.AttackName = "fgsm",
    eps: Annotated[
        str | None,
        typer.Option(
            help="Largest changes to try: of images such as 4/255,8/255, of points in metres.",
            show_default="2/255,4/255,8/255,16/255 of images, 0.005,0.01,0.02,0.05 of points",
            rich_help_panel=opt.ATTACK,
        ),
    ] = None,
    slopes: Annotated[
        str | None,
        typer.Option(
            help="Slopes to try, such as 0.1,0.5,1 or from:to:by.",
            show_default="a range that fits the attack; on points 5:40:5",
            rich_help_panel=opt.ATTACK,
        ),
    ] = None,
    gradient: Annotated[
        str, typer.Option(help="The gradient whose slope is searched.", rich_help_panel=opt.ATTACK)
    ] = opt.DEFAULT_SOFT_GRADIENT,
    step: opt.Step = None,
    steps: opt.Steps = None,
    valid_pixels: opt.ValidPixels = 1.0,
    targeted: opt.Targeted = False,
    active_set: opt.ActiveSet = False,
    protocol: opt.Protocol = opt.DEFAULT_PROTOCOL,
    relation: opt.Relation = None,
    input_slope: opt.InputSlope = None,
    output_slope: opt.OutputSlope = None,
    floor_slope: opt.FloorSlope = None,
    loss: opt.Loss = None,
    data: opt.Data = None,
    subset: Annotated[
        str,
        typer.Option(
            help="holdout (training samples that training leaves out), train or test.", rich_help_panel=opt.VICTIM
        ),
    ] = "holdout",
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
    num_nodes: opt.NumNodes = None,
    precision: opt.Precision = None,
    force_precision: opt.ForcePrecision = None,
    store: Annotated[
        bool, typer.Option("--store", help="Keep the best slopes beside the victim's weights, for later attacks.")
    ] = False,
    fresh: opt.Fresh = False,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Find the slope of the leaded gradient at which an attack is strongest.

    The search tries every slope and the automatic slope at every eps, on training samples that training left out. The
    table has the form of the paper's Table VII; warnings below it say where the best slope is in doubt.

    With --store, later attacks on the victim use the best slopes unless another is given.

    Slopes whose results are in the results folder are not tried again, except with --fresh.

    Examples:

    [dim]$[/] lgm-bench search dynconv20-cifar10 --eps 2/255,4/255,8/255 --slopes 0.1,0.2,0.5,1,2

    [dim]$[/] lgm-bench search skipnet20-cifar10 --attack bim --valid-pixels 0.05 --eps 16/255 --slopes 5:40:5 --store

    [dim]$[/] lgm-bench search minkunet14-scannet --data rooms-scannet --attack pointbim --eps 0.01 --limit 2
    """
    flags = locals()
    from lgm_bench.cli.slope_search import Search, parse_numbers, search_cells, ties
    from lgm_bench.evaluation.cells.kinds import inputs_of
    from lgm_bench.evaluation.cells.suites import Planned, cells_of_flags
    from victims.checkpoints import store_slopes

    widths = parse_numbers(inputs_of(attack).searched_eps if eps is None else eps, "--eps")
    chosen = parse_numbers(slopes, "--slopes") if slopes else []
    common = opt.cell_flags(flags) | {"limit": limit, "gradients": [gradient], "slope": 1.0}
    base, *_ = [cells_of_flags(common | {"eps": width})[0].cell for width in widths]
    if store:
        _check_storable(base)
    planned = [Planned(cell) for cell in search_cells(base, widths, chosen, baseline=opt.DEFAULT_GRADIENT)]
    from lgm_bench.cli.session import Session

    session = Session(opt.run_options(flags), quiet=quiet, fresh=fresh)
    results = session.run(planned)
    if results:
        search_results = Search(tuple(results), ties(results, session.folder.path))
        _report(session, search_results, as_json)
        if store and not results.failures:
            path = store_slopes(base.victim.name, base.victim.checkpoint, search_results.stored())
            complain(f"The best slopes are stored in {path}")
    session.leave_if_failed(results)


def _check_storable(cell: "Cell") -> None:
    """Check, before a search, that its slopes may be stored.

    Raises:
        ConfigError: The weights are in no registry, or the slopes would be chosen on samples of an evaluation.
    """
    from victims.checkpoints import registered

    victim, checkpoint = cell.victim.name, cell.victim.checkpoint
    if cell.data.subset == "test":
        raise ConfigError("--store takes only slopes that were found on training samples; leave out --subset test")
    if registered(victim, checkpoint) is None:
        raise ConfigError(
            f"--store: no registry has {checkpoint or 'weights'} of {victim}; `lgm-bench import {victim} FILE` "
            "makes an entry, or leave out --store"
        )


def _report(session: "Session", search_results: "Search", as_json: bool) -> None:
    from lgm_bench.report.folder import save
    from lgm_bench.results.formats import to_markdown, to_rich

    record = save(
        session.folder.path / f"{search_results.name}.json", json.dumps(search_results.record(), indent=2) + "\n"
    )
    save(session.folder.path / f"{search_results.name}.md", to_markdown(search_results.table()))
    if as_json:
        show_json(search_results.record())
        return
    show(to_rich(search_results.table()))
    print(f"For a benchmark file (victims:):\n  - {search_results.yaml()}")
    print(f"Results are in {record}")
