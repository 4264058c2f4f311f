"""A console on which names from outside are text: neither markup nor escape sequences."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from lgm_bench.cli.output import printable


class PlainConsole(Console):
    """A rich console for tables and lines with names of victims, data sets, classes, samples and files in them.

    Args:
        kwargs: Of `rich.console.Console`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **kwargs)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the pieces of something to print, without control characters but those of the console itself."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
