"""`lgm-bench doctor`: show what this machine has, what is missing and how to get it."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import BAD_USAGE, Aligned, show, show_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lgm_bench.cli.diagnosis import Finding

STYLES = {"ok": "green", "missing": "dim", "broken": "bold red"}


def doctor(data_root: opt.DataRoot = None, as_json: opt.Json = False) -> None:
    """Check devices, libraries, backends, folders, data sets and checkpoints, and say how to get what is missing.

    Exit code 0: the suite `mini` can run here; 2: something that it needs is missing or broken.

    Examples:

    [dim]$[/] lgm-bench doctor

    [dim]$[/] lgm-bench doctor --data-root ~/data --json
    """
    from lgm_bench.cli import diagnosis

    findings = [*diagnosis.machine(), *diagnosis.data_sets(data_root), *diagnosis.checkpoints()]
    ready = diagnosis.can_run(findings)
    if as_json:
        show_json(diagnosis.as_json(findings))
    else:
        for section, of_section in groupby(findings, key=lambda one: one.section):
            show(_section(section, list(of_section)))
        show(_verdict(findings, ready=ready))
    if not ready:
        raise typer.Exit(BAD_USAGE)


def _section(title: str, findings: "Sequence[Finding]") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    alike: dict[tuple[str, str], list[str]] = {}
    for one in findings:
        alike.setdefault((one.status, one.detail), []).append(one.name)
    rows, styles = [], []
    for (status, detail), names in alike.items():
        several = len(names) > 1
        name = f"{len(names)} of them" if several else names[0]
        rows.append(["", status, name, f"{detail}: {', '.join(names)}" if several else detail])
        styles.append(["", STYLES[status], STYLES[status], "dim" if status == "missing" else ""])
    return Group(Text(title, "bold"), Aligned(rows, styles), "")


def _verdict(findings: "Sequence[Finding]", *, ready: bool) -> "RenderableType":
    from rich.text import Text

    broken = [f"{one.name} ({one.section})" for one in findings if one.status == "broken"]
    needed = [f"{one.name} ({one.section})" for one in findings if one.required and one.status != "ok"]
    if ready:
        text = Text("`lgm-bench run` can run here.", "bold green")
        return text.append(f" Broken: {', '.join(broken)}.", "bold red") if broken else text
    return Text(f"`lgm-bench run` cannot run here; it needs: {', '.join(needed)}; see above.", "bold red")
