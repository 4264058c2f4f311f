"""`lgm-bench board`: write the board of standard evaluations as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from lgm_bench.cli.output import say


def board(
    folder: Annotated[
        Path | None, typer.Argument(help="A board.", show_default="the one that comes with lgm-bench")
    ] = None,
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("board.html"),
) -> None:
    """Write a board of standard evaluations as one self-contained HTML file: what each network keeps in the worst case.

    `lgm-bench evaluate --board FOLDER` adds a network to a board.

    Examples:

    [dim]$[/] lgm-bench board

    [dim]$[/] lgm-bench board my_board --out mine.html
    """
    from lgm_bench.files import expanded, write_whole
    from lgm_bench.resources import resource
    from lgm_bench.standard.board import read_board
    from lgm_bench.standard.board_page import board_page

    page = board_page(read_board(folder or resource("leaderboard") / "standard"))
    path = expanded(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page.encode())
    say(f"Board: {out}")
