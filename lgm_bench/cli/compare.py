"""`lgm-bench compare`: compare results with the numbers of a leaderboard file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.completion import complete_suite
from lgm_bench.cli.output import REGRESSION, say, show, show_json
from lgm_bench.errors import ConfigError

if TYPE_CHECKING:
    from lgm_bench.results.leaderboard.comparing import CellCompared


def compare(
    results: Annotated[Path, typer.Argument(help="A results folder, or one cell's folder or result.json.")],
    against: Annotated[
        Path | None, typer.Option(help="A leaderboard file.", show_default="the shipped one that has these cells")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write the results of a whole suite into the file instead of comparing.")
    ] = False,
    suite: Annotated[
        str | None,
        typer.Option(
            help="With --update: the suite of the results.",
            show_default="the suite in the file",
            autocompletion=complete_suite,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="With --update: the benchmark file with the suite.", show_default="the shipped one"),
    ] = None,
    data_root: opt.DataRoot = None,
    as_json: opt.Json = False,
) -> None:
    """Compare results with the numbers of a leaderboard file.

    Exit code 0: every number is within its tolerance. 1: a number is outside, in either direction, or a cell is missing
    or has another checkpoint, other samples or another precision. 2: there is nothing to compare, or the file makes no
    sense.

    Examples:

    [dim]$[/] lgm-bench compare results/mini --against leaderboard/mini.json

    [dim]$[/] lgm-bench compare results/mini --json

    [dim]$[/] lgm-bench compare results/mine --against mine.json --update --suite mine --config my.yaml
    """
    if update:
        _update(results, against, suite, config, data_root, as_json)
        return
    if suite or config:
        raise ConfigError(
            f"{'--suite' if suite else '--config'} belongs to --update; name a leaderboard with --against"
        )
    from lgm_bench.results.leaderboard import comparing
    from lgm_bench.results.leaderboard.board import is_one_cell, read_leaderboard, read_measured

    measured = read_measured(results)
    path = against or comparing.shipped_for(measured)
    board = read_leaderboard(path)
    comparing.check_common(board, measured)
    compared = comparing.compare(board, measured, whole=not is_one_cell(results))
    _print(compared, path, as_json)
    if any(one.bad for one in compared):
        raise typer.Exit(REGRESSION)


def _update(
    results: Path, path: Path | None, suite: str | None, config: Path | None, data_root: str | None, as_json: bool
) -> None:
    from lgm_bench.evaluation.cells.config import load_bench
    from lgm_bench.evaluation.cells.suites import plan
    from lgm_bench.results.leaderboard.board import is_one_cell, read_leaderboard, write_leaderboard
    from lgm_bench.results.leaderboard.updating import changes, updated

    if path is None:
        raise ConfigError("--update needs a file to write, such as --against leaderboard/mini.json")
    old = read_leaderboard(path) if path.exists() else None
    name = suite or (old.suite if old else None)
    if name is None:
        raise ConfigError(f"{path} is new; name its suite with --suite")
    if old and old.suite != name:
        raise ConfigError(f"{path} has results of suite {old.suite}, not of {name}; choose another file")
    if is_one_cell(results):
        raise ConfigError(f"{results} is one cell; --update takes the results folder of a whole suite")
    board, measured = updated(old, name, plan(load_bench(config), [name]), results, data_root)
    what_changed = changes(old, measured)
    if board != old:
        write_leaderboard(path, board)
    if as_json:
        show_json({"against": str(path), "changes": what_changed})
        return
    for line in what_changed:
        say(line)
    say(f"{path} stays as it is" if board == old else f"wrote {len(board.cells)} cells to {path}")


def _print(compared: "Sequence[CellCompared]", path: Path, as_json: bool) -> None:
    from lgm_bench.results.leaderboard.comparing import as_lines, as_table, summary

    if as_json:
        show_json({"against": str(path), "summary": summary(compared), "cells": [one.as_json() for one in compared]})
        return
    show(as_table(compared, str(path)))
    for line in as_lines(compared):
        say(line)
