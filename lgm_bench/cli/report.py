"""`lgm-bench report`: a results folder as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    results: Annotated[Path, typer.Argument(help="A results folder, or the folder of one cell.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file.", show_default="report.html in RESULTS")] = None,
) -> None:
    """Show a results folder as one HTML file that needs nothing else: tables, curves, pictures, provenance.

    The tables are written beside it as Markdown and LaTeX. `lgm-bench run` writes the same file at its end.

    Examples:

    [dim]$[/] lgm-bench report results/mini

    [dim]$[/] lgm-bench report results --out arms.html
    """
    from lgm_bench.cli.output import say
    from lgm_bench.results.reading import require_there

    require_there(results)  # before what draws is loaded, which takes seconds
    from lgm_bench.report.folder import report_of

    html, *tables = report_of(results, out)
    say(f"Report: {html}")
    say(f"Tables: {', '.join(map(str, tables))}")
