"""`lgm-bench attack`: one cell from flags."""

from typing import Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import finish
from lgm_bench.errors import ConfigError, LgmBenchError


def attack(
    victim: opt.VictimName,
    attack: opt.AttackName = "fgsm",
    eps: Annotated[
        float | None,
        typer.Option(
            help="Largest change: of images in 1/255 (protocol official: 2/255), of points in metres.",
            show_default="8 of images, 0.01 of points",
            rich_help_panel=opt.ATTACK,
        ),
    ] = None,
    gradient: Annotated[str, typer.Option(help="fgm or lgm.", rich_help_panel=opt.ATTACK)] = "fgm",
    slope: Annotated[
        float | None, typer.Option(help="Slope of LGM.", show_default="the released one", rich_help_panel=opt.ATTACK)
    ] = None,
    forward: opt.Forward = "soft",
    step: opt.Step = None,
    steps: opt.Steps = None,
    valid_pixels: opt.ValidPixels = 1.0,
    targeted: opt.Targeted = False,
    active_set: opt.ActiveSet = False,
    protocol: opt.Protocol = "official",
    relation: opt.Relation = None,
    input_slope: opt.InputSlope = None,
    output_slope: opt.OutputSlope = None,
    floor_slope: opt.FloorSlope = None,
    loss: opt.Loss = None,
    data: opt.Data = None,
    subset: Annotated[str, typer.Option(help="test, train or holdout.", rich_help_panel=opt.VICTIM)] = "test",
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
    num_nodes: opt.NumNodes = None,
    precision: opt.Precision = None,
    force_precision: opt.ForcePrecision = None,
    save_adversarial: opt.SaveAdversarial = None,
    history: opt.History = None,
    backend: opt.Backend = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Attack one victim in one way.

    Examples:

    [dim]$[/] lgm-bench attack dynconv20-cifar10 --attack fgsm --eps 2 --gradient lgm --slope 0.5

    [dim]$[/] lgm-bench attack resnet32-cifar10 --attack bim --limit 100 --history --save-adversarial

    [dim]$[/] lgm-bench attack dynconv8-cifar10 --checkpoint my.pth --attack pgd --steps 20 --targeted

    [dim]$[/] lgm-bench attack cylinder3d-semantickitti --attack pointbim --eps 0.02 --gradient lgm --limit 10

    [dim]$[/] lgm-bench attack minkunet14-scannet --data rooms-scannet --attack pointbim --gradient lgm
    """
    flags = locals()
    from lgm_bench.evaluation.cells.suites import Planned, single_cell

    if gradient == "fgm" and slope is not None:
        raise ConfigError(f"--slope {slope:g} is LGM's, and the gradient is fgm; add --gradient lgm, or leave it out")
    eps = opt.eps_or_default(eps, attack, images=8.0, points=0.01)
    cell = single_cell(
        opt.cell_flags(flags) | {"eps": eps, "gradient": gradient, "slope": slope, "limit": limit, "history": history},
    )
    from lgm_bench.cli.session import Session

    session = Session(opt.run_options(flags), quiet=quiet)
    results = session.run([Planned(cell)])
    if results.failures and isinstance(results.failures[0][1], LgmBenchError):
        raise results.failures[0][1]
    finish(session, results, as_json=as_json)
