"""Printing, and exit codes."""

import json
import os
import re
import sys
from typing import Any

REGRESSION, BAD_USAGE, CELL_FAILED, OUR_FAULT, INTERRUPTED, READER_GONE = 1, 2, 3, 70, 130, 141
WIDTH_OF_A_FILE, NARROWEST = 160, 80

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except line feed and tab, and characters that change the direction of text."""


def show(renderable: Any) -> None:
    """Print a rich table or text; into a file or pipe at a fixed width.

    A terminal that is too narrow for a table breaks its lines, since columns would otherwise shrink to a letter.
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
    r"""Return text with its control characters written out, so that no terminal obeys them.

    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
