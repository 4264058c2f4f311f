"""`lgm-bench ls`: list victims, data sets, attacks, gradients and suites."""

from typing import Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import show, show_json
from lgm_bench.errors import UnknownNameError


def ls(
    kind: Annotated[
        str | None, typer.Argument(help="victims, data, attacks, gradients or suites.", show_default="all")
    ] = None,
    data_root: opt.DataRoot = None,
    as_json: opt.Json = False,
) -> None:
    """List victims, data sets, attacks, gradients and suites, and show which are ready here.

    Examples:

    [dim]$[/] lgm-bench ls

    [dim]$[/] lgm-bench ls data --data-root ~/data

    [dim]$[/] lgm-bench ls victims --json
    """
    from lgm_bench.cli.inventory import KINDS, as_table

    if kind is not None and kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    items = {name: list_items(data_root) for name, list_items in KINDS.items() if kind in (None, name)}
    if as_json:
        show_json(items)
        return
    for name, of_kind in items.items():
        show(as_table(name, of_kind))
