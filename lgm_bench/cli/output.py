"""What verbs print, and the codes they exit with."""

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lgm_bench.cli.session import Session
    from lgm_bench.evaluation.cells.suites import Planned
    from lgm_bench.evaluation.engine.runner import RunResults
    from lgm_bench.results.statistics import Comparison

REGRESSION, BAD_USAGE, CELL_FAILED, INTERRUPTED, READER_GONE = 1, 2, 3, 130, 141
WIDTH_OF_A_FILE, NARROWEST = 160, 80

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for line feed and tab, and those that turn the direction of text."""


def show(renderable: Any) -> None:
    """Print a rich table or text; into a file or pipe wide enough to stay readable there.

    A terminal that is narrower than tables need breaks their lines; else columns would become as narrow as a letter.
    """
    from lgm_bench.cli.views.console import PlainConsole

    console = PlainConsole(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_FILE)
    console.width = max(console.width, NARROWEST)
    console.print(renderable)


def show_json(value: Any) -> None:
    """Print plain values as JSON."""
    print(json.dumps(value, indent=2))


def say(text: str) -> None:
    """Print a line for the user."""
    print(printable(text))


def complain(text: str) -> None:
    """Print a line for the user to standard error."""
    print(printable(text), file=sys.stderr)


def printable(text: str) -> str:
    r"""Return text whose control characters, which a terminal would obey, are written out.

    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def finish(
    session: "Session",
    results: "RunResults",
    *,
    as_json: bool,
    planned: "Sequence[Planned] | None" = None,
    comparisons: "Sequence[Comparison]" = (),
) -> None:
    """Print what cells measured as tables or JSON, then leave with the code for failed cells if there are any.

    Args:
        session: What ran them.
        results: Their results.
        as_json: Print JSON.
        planned: All cells of the suite that they are of: what others have finished of these is shown too, and the
            tables are written into the results folder. None: the results stand alone, and nothing is written.
        comparisons: Of results that stand alone.
    """
    from lgm_bench.cli import session as sessions
    from lgm_bench.results.comparisons import comparisons_to_rich
    from lgm_bench.results.formats import to_rich
    from lgm_bench.results.frame import frame_of
    from lgm_bench.results.tables import build_tables

    results, tables, comparisons, unfinished = (
        sessions.Merged(results, build_tables(frame_of(results)), list(comparisons), [])
        if planned is None
        else session.merge(results, planned)
    )
    if as_json:
        show_json(sessions.as_json(results, unfinished, comparisons))
    else:
        for table in tables:
            show(to_rich(table))
        if comparisons:
            show(comparisons_to_rich(comparisons))
        if unfinished:
            say(f"{len(unfinished)} of {len(unfinished) + len(results)} cells are not finished yet")
        say(f"Results are in {session.options.out}")
    if planned is not None and results:
        path = session.report(results, comparisons, unfinished)
        if path and not as_json:
            say(f"Report: {path}")
    leave_if_failed(results)


def leave_if_failed(results: "RunResults") -> None:
    """Exit with the code for failed cells, after naming them, if there are any."""
    from lgm_bench.evaluation.wording import describe

    for cell, error in results.failures:
        complain(f"failed: {describe(cell)}: {error or type(error).__name__}")
    if results.failures:
        n_failed = len(results.failures)
        complain(
            f"{n_failed} cell{'s' * (n_failed > 1)} failed; the same command tries again what failed, and only that"
        )
        raise typer.Exit(CELL_FAILED)
