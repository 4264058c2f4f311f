"""Exit codes, and printing: names from files stay text, and words stay whole."""

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

REGRESSION, BAD_USAGE, CELL_FAILED, OUR_FAULT, INTERRUPTED, READER_GONE = 1, 2, 3, 70, 130, 141
WIDTH_OF_A_FILE, NARROWEST = 160, 80
LEAST_ROOM = 20
"""Columns that the last text of a row gets at least."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except line feed and tab, and characters that change the direction of text."""


def show(renderable: Any) -> None:
    """Print a rich table or text; into a file or pipe at a fixed width.

    A terminal of fewer than 80 columns breaks the lines of a table itself; its columns would otherwise shrink to a
    letter.
    """
    console = PlainConsole(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_FILE)
    console.width = max(console.width, NARROWEST)
    console.print(renderable, crop=False)


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


class PlainConsole(Console):
    """A rich console that does not interpret names of victims, data sets, classes, samples and files."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **kwargs)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield segments whose control characters are written out, except those of the console itself."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class Aligned:
    """Rows of texts in columns. The last text of a row wraps between words; an address or a path stays whole.

    Args:
        rows: Texts of equal number.
        styles: For each row one, or one for each of its texts.
        heading: Texts above the columns, in bold.
    """

    def __init__(self, rows: Sequence[Sequence[str]], styles: Sequence[Any], heading: Sequence[str] = ()) -> None:
        self.rows = [heading, *rows] if heading else [*rows]
        self.styles = ["bold", *styles] if heading else [*styles]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        widths = [max(map(len, column)) for column in list(zip(*self.rows, strict=True))[:-1]]
        indent = sum(widths) + 2 * len(widths)
        for (*texts, last), style in zip(self.rows, self.styles, strict=True):
            styles = [
                console.get_style(one) for one in ([style] * (len(texts) + 1) if isinstance(style, str) else style)
            ]
            for text, width, one in zip(texts, widths, styles, strict=False):
                yield Segment(text.ljust(width) + "  ", one)
            room = max(options.max_width - indent, LEAST_ROOM)
            lines = textwrap.wrap(last, room, break_long_words=False, break_on_hyphens=False) or [""]
            for number, line in enumerate(lines):
                yield Segment(" " * indent * bool(number))
                yield Segment(line, styles[-1])
                yield Segment.line()
