"""`lgm-bench attack`: one attack with one gradient, or with several side by side."""

from typing import Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.errors import LgmBenchError


def attack(
    victim: opt.VictimName,
    attack: opt.AttackName = "fgsm",
    eps: Annotated[
        str | None,
        typer.Option(
            help="Largest change of a value: on images such as 8/255, on points in metres.",
            show_default="8/255 on images, 0.01 on points",
            rich_help_panel=opt.ATTACK,
        ),
    ] = None,
    gradient: opt.Gradient = opt.DEFAULT_GRADIENT,
    slope: Annotated[
        str | None,
        typer.Option(
            help="Slope of the soft occupancy: a number, or auto for one per unit from the spread of its margins.",
            show_default="the one stored with the weights, else the released one, else auto",
            rich_help_panel=opt.ATTACK,
        ),
    ] = None,
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
            help="test, train, or holdout (training samples that training leaves out).", rich_help_panel=opt.VICTIM
        ),
    ] = "test",
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
    fresh: opt.Fresh = False,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Attack one victim with one gradient, or with several side by side.

    Examples:

    [dim]$[/] lgm-bench attack dynconv20-cifar10 --attack fgsm --eps 4/255 --gradient lgm --slope 0.5

    [dim]$[/] lgm-bench attack dynconv20-cifar10 --attack bim --eps 4/255 --gradient fgm,lgm,soft --slope 10

    [dim]$[/] lgm-bench attack resnet32-cifar10 --attack bim --limit 100 --history --save-adversarial

    [dim]$[/] lgm-bench attack dynconv8-cifar10 --checkpoint my.pth --attack pgd --steps 20 --targeted

    [dim]$[/] lgm-bench attack cylinder3d-semantickitti --attack pointbim --eps 0.02 --gradient lgm --limit 10

    [dim]$[/] lgm-bench attack minkunet14-scannet --data rooms-scannet --attack pointbim --gradient lgm
    """
    flags = locals()
    from lgm_bench.evaluation.cells.kinds import inputs_of
    from lgm_bench.evaluation.cells.suites import cells_of_flags

    eps = inputs_of(attack).usual_eps if eps is None else eps
    own = {"eps": eps, "gradients": gradient.split(","), "slope": slope, "limit": limit, "history": history}
    planned = cells_of_flags(opt.cell_flags(flags) | own)
    from lgm_bench.cli.session import Session

    session = Session(opt.run_options(flags), quiet=quiet, fresh=fresh)
    results = session.run(planned)
    error = results.failures[0][1] if results.failures else None
    if not results and isinstance(error, LgmBenchError):
        raise error
    session.finish(results, as_json=as_json)
