"""What a report is made of: sections of figures, tables and sentences."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from lgm_bench.results.tables import Table

_NUMBER = re.compile(r"[-+–<]? ?[\d.,]*(e[-+]\d+)?%?")


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        picture: An <svg> or <img> with a text that says what it shows.
        label: The text below it.
        width: Largest width in CSS pixels.
    """

    picture: Markup
    label: str = ""
    width: int = 340


@dataclass(frozen=True)
class Figure:
    """Pictures that belong together.

    Attributes:
        title: What they show.
        caption: How to read them; nothing where a figure before says it.
        rows: Pictures side by side, row by row.
        legend: Colour and meaning, such as ("#ff0000", "chair").
    """

    title: str
    caption: str
    rows: Sequence[Sequence[Panel]]
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Grid:
    """A plain table of texts.

    Attributes:
        title: What it shows.
        header: Names of the columns.
        rows: Texts, as many a row as there are names.
        notes: Sentences below it.
        folded: Whether it is closed at first.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    folded: bool = False

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, which stand to the right."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.header)
        return [all(_NUMBER.fullmatch(text) for text in column) for column in columns]


@dataclass
class Section:
    """A chapter of the report.

    Attributes:
        key: Its anchor.
        title: Its heading.
        intro: Sentences at its beginning.
        tables: In the paper's layout.
        grids: Other tables.
        figures: Pictures.
        notes: Remarks, such as what could not be shown and why.
    """

    key: str
    title: str
    intro: Sequence[str] = ()
    tables: Sequence[Table] = ()
    grids: Sequence[Grid] = ()
    figures: Sequence[Figure] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def has_something(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.tables or self.grids or self.figures or self.notes)


def attempted(section: Section, build: Callable[[], Sequence[Figure]]) -> Section:
    """Return the section with the figures that `build` makes; if it cannot, with a note that says so.

    A report is made at the end of runs that may have taken days. Whatever one picture meets must not cost the others.
    """
    try:
        section.figures = [*section.figures, *build()]
    except Exception as error:  # see above
        section.notes.append(f"Some of it could not be drawn ({type(error).__name__}: {error}).")
    return section
