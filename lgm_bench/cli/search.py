"""`lgm-bench search`: the slope at which the leaded gradient is strongest."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import leave_if_failed, show, show_json

if TYPE_CHECKING:
    from lgm_bench.cli.session import Session
    from lgm_bench.cli.slope_search import Search


def search(
    victim: opt.VictimName,
    attack: opt.AttackName = "fgsm",
    eps: Annotated[
        str | None,
        typer.Option(
            help="One or more: of images such as 8/255, of points in metres.",
            show_default="2/255,4/255,8/255,16/255 of images, 0.005,0.01,0.02,0.05 of points",
            rich_help_panel=opt.ATTACK,
        ),
    ] = None,
    slopes: Annotated[
        str | None,
        typer.Option(
            help="Such as 0.1,0.5,1 or from:to:by.",
            show_default="a range for the attack; of points 5:40:5",
            rich_help_panel=opt.ATTACK,
        ),
    ] = None,
    gradient: Annotated[
        str, typer.Option(help="The gradient whose slope is sought.", rich_help_panel=opt.ATTACK)
    ] = opt.SLOPED,
    step: opt.Step = None,
    steps: opt.Steps = None,
    valid_pixels: opt.ValidPixels = 1.0,
    targeted: opt.Targeted = False,
    active_set: opt.ActiveSet = False,
    protocol: opt.Protocol = opt.PROTOCOL,
    relation: opt.Relation = None,
    input_slope: opt.InputSlope = None,
    output_slope: opt.OutputSlope = None,
    floor_slope: opt.FloorSlope = None,
    loss: opt.Loss = None,
    data: opt.Data = None,
    subset: Annotated[
        str, typer.Option(help="holdout: training samples that training leaves out.", rich_help_panel=opt.VICTIM)
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
    fresh: opt.Fresh = False,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Find the slope of the leaded gradient at which an attack is strongest.

    Every slope is tried at every eps, on held-out training samples; the table is that of the paper's Table VII.

    What is in the results folder already is not tried again, except with --fresh.

    Examples:

    [dim]$[/] lgm-bench search dynconv20-cifar10 --eps 2/255,4/255,8/255 --slopes 0.1,0.2,0.5,1,2

    [dim]$[/] lgm-bench search skipnet20-cifar10 --attack bim --valid-pixels 0.05 --eps 16/255 --slopes 5:40:5

    [dim]$[/] lgm-bench search minkunet14-scannet --data rooms-scannet --attack pointbim --eps 0.01 --limit 2
    """
    flags = locals()
    from lgm_bench.cli.slope_search import Search, parse_numbers, search_cells
    from lgm_bench.evaluation.cells.suites import Planned, cells_of_flags

    eps = opt.eps_or_default(eps, attack, images="2/255,4/255,8/255,16/255", points="0.005,0.01,0.02,0.05")
    widths = parse_numbers(eps, "--eps")
    wanted = parse_numbers(slopes, "--slopes") if slopes else []
    common = opt.cell_flags(flags) | {"limit": limit, "gradients": [gradient], "slope": 1.0}
    base, *_ = [cells_of_flags(common | {"eps": width})[0].cell for width in widths]
    planned = [Planned(cell) for cell in search_cells(base, widths, wanted, baseline=opt.GRADIENT)]
    from lgm_bench.cli.session import Session

    session = Session(opt.run_options(flags), quiet=quiet, fresh=fresh)
    results = session.run(planned)
    if results:
        _report(session, Search(tuple(results)), as_json)
    leave_if_failed(results)


def _report(session: "Session", found: "Search", as_json: bool) -> None:
    from lgm_bench.report.folder import save
    from lgm_bench.results.formats import to_markdown, to_rich

    record = save(session.folder.path / f"{found.name}.json", json.dumps(found.record(), indent=2) + "\n")
    save(session.folder.path / f"{found.name}.md", to_markdown(found.table()))
    if as_json:
        show_json(found.record())
        return
    show(to_rich(found.table()))
    print(f"For a benchmark file (victims:):\n  - {found.yaml()}")
    print(f"Results are in {record}")
