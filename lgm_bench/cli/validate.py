"""`lgm-bench validate`: try every cell of a benchmark file on two samples."""

import tempfile
from typing import TYPE_CHECKING

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import BAD_USAGE, CELL_FAILED, complain, show_json
from lgm_bench.cli.run import planned_cells
from lgm_bench.errors import UnknownNameError, fault

if TYPE_CHECKING:
    from lgm_bench.evaluation.cells.cell import Cell

SAMPLES, STEPS = 2, 2
SLOPES = ("slope", "input_slope", "output_slope", "floor_slope")


def validate(
    file: opt.File = None,
    suite: opt.Suites = None,
    table: opt.Tables = None,
    full: opt.Full = False,
    victim: opt.OnlyVictims = None,
    overrides: opt.Overrides = None,
    data_root: opt.DataRoot = None,
    accelerator: opt.Accelerator = None,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
) -> None:
    """Try every cell of a benchmark file on two samples; nothing is kept, and no figures are printed.

    Cells that differ only in eps, slopes or seed are tried once. Exit code 3: a cell fails; 2: something is missing.

    Examples:

    [dim]$[/] lgm-bench validate my.yaml

    [dim]$[/] lgm-bench validate --suite cifar10 --full --data-root ~/data
    """
    flags = locals()
    bench, planned = planned_cells(file, suite, full=full, victims=victim, tables=table, overrides=overrides)
    from lgm_bench.cli.session import Session
    from lgm_bench.cli.views.gaps import cell_names

    with tempfile.TemporaryDirectory(prefix="lgm-bench-") as out:
        options = opt.run_options({**flags, "out": out, "batch_size": SAMPLES, "devices": 1}, bench.run)
        session = Session(options, quiet=quiet, figures=False)
        gaps = session.gaps(planned)
        missing = {cell for gap in gaps for cell in gap.cells}
        kinds: dict[Cell, list[Cell]] = {}
        for one in planned:
            if one.cell not in missing:
                kinds.setdefault(_tiny(one.cell), []).append(one.cell)
        results = session.run_ready(list(kinds), skip_broken=True)
    failed = [cell for kind, _ in results.failures for cell in kinds[kind]]
    required = [cell for gap in gaps if not gap.optional for cell in gap.cells]
    counts = {"cells": len(planned), "ok": sum(len(kinds[k]) for k in kinds) - len(failed)}
    counts |= {"failed": len(failed), "missing": len(missing)}
    if as_json:
        show_json(counts)
    else:
        print(", ".join(f"{count} {what}" for what, count in counts.items()))
    for kind, error in results.failures:
        complain(f"failed: {cell_names(kinds[kind])}: {fault(error)}")
    if failed or required:
        raise typer.Exit(CELL_FAILED if failed else BAD_USAGE)


def _tiny(cell: "Cell") -> "Cell":
    """Return a short cell that stands for all cells that differ from it only in numbers."""
    from lgm_bench.evaluation.cells.kinds import inputs_of
    from lgm_bench.evaluation.cells.units import unit
    from lgm_bench.evaluation.engine.runner import filled_cell
    from lgm_bench.tasks.inputs import parse_number

    filled = filled_cell(cell, keep_error=True)  # slopes are released for an eps, so the real one fills them in
    if isinstance(filled, UnknownNameError):
        raise filled
    if isinstance(filled, Exception):
        return cell  # its trial fails for the same reason
    cell = filled
    attack = {"seed": 0, "eps": parse_number(inputs_of(cell.attack.name).usual_eps) / unit(cell), "step": None}
    attack |= {"steps": min(STEPS, cell.attack.steps or 1)}
    slopes = {name: 1.0 for name in SLOPES if getattr(cell.gradient, name) is not None}
    return cell.replace(data={"limit": SAMPLES}, attack=attack, gradient=slopes, paper=None)
