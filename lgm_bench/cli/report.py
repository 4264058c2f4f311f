"""`lgm-bench report`: write a results folder as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from lgm_bench.cli.output import say


def report(
    results: Annotated[Path, typer.Argument(help="A results folder, or the folder of one cell.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file.", show_default="report.html in RESULTS")] = None,
) -> None:
    """Write a results folder as one self-contained HTML file: tables, curves, pictures, provenance.

    The tables are written beside it as Markdown and LaTeX. `lgm-bench run` writes the same HTML file at its end.

    Examples:

    [dim]$[/] lgm-bench report results/mini

    [dim]$[/] lgm-bench report results --out arms.html
    """
    from lgm_bench.results.reading import require_there

    require_there(results)  # before the drawing libraries are loaded, which takes seconds
    from lgm_bench.report.folder import report_of

    html, *tables = report_of(results, out)
    say(f"Report: {html}")
    say(f"Tables: {', '.join(map(str, tables))}")
