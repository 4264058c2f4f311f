"""`lgm-bench doctor`: what this machine has, what is missing, and what to do about it."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import BAD_USAGE, show, show_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lgm_bench.cli.diagnosis import Finding

STYLES = {"ok": "green", "missing": "dim", "broken": "bold red"}


def doctor(data_root: opt.DataRoot = None, as_json: opt.Json = False) -> None:
    """Check devices, libraries, backends, folders, data sets and checkpoints, and say what to do about what is missing.

    Exit code 0: the embedded suite can run here; 2: something that it needs is missing or broken.

    Examples:

    [dim]$[/] lgm-bench doctor

    [dim]$[/] lgm-bench doctor --data-root ~/data --json
    """
    from lgm_bench.cli import diagnosis as examination

    findings = [*examination.machine(), *examination.data_sets(data_root), *examination.checkpoints()]
    ready = examination.can_run(findings)
    if as_json:
        show_json(examination.as_json(findings))
    else:
        for section, found in groupby(findings, key=lambda one: one.section):
            show(_section(section, list(found)))
        show(_verdict(findings, ready=ready))
    if not ready:
        raise typer.Exit(BAD_USAGE)


def _section(title: str, findings: "Sequence[Finding]") -> "RenderableType":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE, show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    alike: dict[tuple[str, str], list[str]] = {}
    for one in findings:
        alike.setdefault((one.status, one.detail), []).append(one.name)
    for (status, detail), names in alike.items():
        style = STYLES[status]
        told = f"{detail}: {', '.join(names)}" if len(names) > 1 else detail
        name = f"{len(names)} of them" if len(names) > 1 else names[0]
        table.add_row(Text(status, style), Text(name, style), Text(told, style if style == "dim" else ""))
    return table


def _verdict(findings: "Sequence[Finding]", *, ready: bool) -> "RenderableType":
    from rich.text import Text

    broken = [f"{one.name} ({one.section})" for one in findings if one.status == "broken"]
    needed = [f"{one.name} ({one.section})" for one in findings if one.required and one.status != "ok"]
    if ready:
        text = Text("`lgm-bench run` can run here.", "bold green")
        return text.append(f" Broken: {', '.join(broken)}.", "bold red") if broken else text
    return Text(f"`lgm-bench run` cannot run here; it needs: {', '.join(needed)}; see above.", "bold red")
