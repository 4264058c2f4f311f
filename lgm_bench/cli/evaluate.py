"""`lgm-bench evaluate`: the standard evaluation of a victim."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import say, show_json

if TYPE_CHECKING:
    from torch import nn

    from datamodules.samples_datamodule import Batches

Eps = Annotated[
    str | None,
    opt.option(
        "Largest change of an intensity such as 8/255, or with --norm l2 of an image's L2 norm; of points, in metres.",
        default="8/255 on images (none with l2), 0.01 on points",
        panel=opt.ATTACK,
    ),
]
Norm = Annotated[str, opt.option("Norm of the change: linf or l2. On points only linf.", panel=opt.ATTACK)]
Budget = Annotated[str, opt.option("standard, or standard-fast with a fraction of the gradients.", panel=opt.ATTACK)]
Report = Annotated[Path | None, opt.option("Write a page (HTML) to this file.", "--report", panel=opt.RUNNING)]

Board = Annotated[
    Path | None, opt.option("Write the result to this board, a folder with a file per network.", panel=opt.RUNNING)
]
ATTACKS = {"images": "autoattack", "points": "pointbim"}
"""An attack on each kind of inputs."""
OWN = ("report", "board", "reported")
"""Options that are not those of a run."""


def evaluate(
    victim: opt.VictimName,
    eps: Eps = None,
    norm: Norm = "linf",
    budget: Budget = "standard",
    data: opt.Data = None,
    subset: Annotated[
        str, opt.option("test, train, or holdout (training samples that training leaves out).", panel=opt.VICTIM)
    ] = "test",
    checkpoint: opt.Checkpoint = None,
    mean: opt.Mean = None,
    std: opt.Std = None,
    limit: opt.Limit = None,
    data_root: opt.DataRoot = None,
    out: opt.Out = None,
    batch_size: opt.BatchSize = None,
    accelerator: opt.Accelerator = None,
    report: Report = None,
    board: Board = None,
    reported: Annotated[
        str | None,
        opt.option(
            "What the publication reports, for the board, such as '43.2 %, Table 3 of Hu et al. 2020'.",
            panel=opt.RUNNING,
        ),
    ] = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Find out how robust a network is: the worst case over all gradients, beside FGM and a control.

    Everything but the threat model is fixed. The control has the same runs, all under FGM. A run that was stopped
    goes on with the same command.

    Examples:

    [dim]$[/] lgm-bench evaluate skipnet14-mini --budget standard-fast

    [dim]$[/] lgm-bench evaluate dynconv20-cifar10 --eps 2/255 --limit 1000 --report dynconv20.html

    [dim]$[/] lgm-bench evaluate skipnet20-cifar10 --eps 8/255 --board leaderboard/standard

    [dim]$[/] lgm-bench evaluate minkunet-scannet-mini --budget standard-fast --eps 0.02 --board my_board

    [dim]$[/] lgm-bench evaluate my_package.networks:Net --data cifar10 --checkpoint my.pth --norm l2 --eps 0.5
    """
    flags = locals()
    from lgm_bench.errors import ConfigError
    from lgm_bench.standard.board import Reported, enter
    from lgm_bench.standard.evaluate import evaluate as evaluated

    if reported and not board:
        raise ConfigError("--reported is written to a board; name one with --board")
    publication = Reported.parse(reported) if reported else None
    network, batches, data_name = _materials(flags)
    result = evaluated(
        network,
        batches,
        eps,
        norm=norm,  # type: ignore[arg-type]
        budget=budget,  # type: ignore[arg-type]
        out=out or "results",
        progress=not quiet,
        name=victim,
        ignored_classes=batches.data.ignored_classes,
    )
    if as_json:
        show_json(result.as_json())
    else:
        say(result.summary())
    if board:
        from victims.checkpoints import registered

        known = registered(victim, checkpoint)
        entered = enter(
            result,
            board,
            data=data_name,
            limited=limit is not None,
            source=known[1].source if known else None,
            reported=publication,
            checkpoint_sha256=known[1].sha256 if known else None,
        )
        if not as_json:
            say(f"Board: {entered}")
    if report:
        written = result.report(report)
        if not as_json:
            say(f"Report: {written}")


def _materials(flags: dict[str, Any]) -> tuple["nn.Module", "Batches", str]:
    """Return the victim, folded if that changes nothing, on its device; the batches of its data set, and its name."""
    from datamodules.samples_datamodule import Batches
    from lgm_bench.evaluation.cells.suites import cells_of_flags
    from lgm_bench.evaluation.engine.materials import Materials
    from lgm_bench.evaluation.engine.place import ALONE, checked_devices, device_type
    from victims.folding import folded

    given = {name: value for name, value in flags.items() if name not in OWN}
    options = opt.run_options(given)
    attack = ATTACKS[_inputs(flags)]
    fixed = {"attack": attack, "eps": "0.01", "gradients": ["fgm"]}  # these choose no network and no data
    (planned,) = cells_of_flags(
        opt.cell_flags(defaultdict(lambda: None, given | fixed)) | fixed | {"limit": flags["limit"]}
    )
    materials = Materials(options.data_root, options.batch_size)
    materials.prepare(planned.cell)
    samples, target = materials.data(planned.cell), materials.target(planned.cell)
    network = folded(target.victim) if materials.fit(planned.cell, target, samples) else target.victim
    accelerator = checked_devices(options.accelerator, 1, 1, ALONE)
    data = planned.cell.data
    name = data.name if data.subset == "test" else f"{data.name}, {data.subset}"
    return network.eval().to(device_type(accelerator)), Batches(samples.datamodule), name


def _inputs(flags: dict[str, Any]) -> str:
    """Return what the data set holds: "images" or "points"."""
    from datamodules import DATAMODULES
    from lgm_bench.evaluation.cells.suites import data_of
    from lgm_bench.registry import resolve
    from lgm_bench.tasks.base import task_named

    data = resolve("data set", flags["data"] or data_of(flags["victim"]), DATAMODULES)
    return task_named(data.task).inputs
