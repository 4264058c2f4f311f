"""Parts of a report: pages of sections with figures, tables and sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from lgm_bench.results.formats import Grid
from lgm_bench.results.tables import Table

WHOLE_WIDTH = 1100
"""Width of a panel that fills the page, CSS pixels."""


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        picture: A chart (`drawing.chart`) or an <img>, with a text alternative.
        label: Text below the picture.
        width: Largest width in CSS pixels.
    """

    picture: Markup
    label: str = ""
    width: int = 340


@dataclass(frozen=True)
class Figure:
    """Pictures that belong together.

    Attributes:
        title: What the pictures show.
        caption: How to read them; empty if an earlier figure has the same caption.
        rows: Rows of pictures side by side.
        legend: Colour and meaning, such as ("#ff0000", "chair"), and perhaps the character of a marker.
        folded: Whether the page shows only the title at first.
    """

    title: str
    caption: str
    rows: Sequence[Sequence[Panel]]
    legend: Sequence[tuple[str, str] | tuple[str, str, str]] = ()
    folded: bool = False


@dataclass
class Section:
    """A chapter of the report.

    Attributes:
        key: Anchor in the file.
        title: Heading.
        page: Page on which the section stands; sections of one page follow each other.
        headline: What the section says, in large letters.
        intro: Sentences at the beginning.
        figures: Pictures.
        tables: Tables of results.
        grids: Other tables.
        notes: Remarks, such as what could not be shown and why.
    """

    key: str
    title: str
    page: str
    headline: Sequence[str] = ()
    intro: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    grids: Sequence[Grid] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.headline or self.figures or self.tables or self.grids or self.notes)


def attempted(section: Section, build: Callable[[], Sequence[Figure]]) -> Section:
    """Return the section with the figures that `build` draws; if drawing fails, with a note instead.

    A report is written at the end of runs that may have taken days, so an error in one picture must not stop the rest.
    """
    try:
        section.figures = [*section.figures, *build()]
    except Exception as error:  # see above
        section.notes.append(f"Some figures could not be drawn ({type(error).__name__}: {error}).")
    return section
