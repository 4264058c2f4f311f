"""Tables for terminals, in Markdown and in LaTeX."""

import html
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from lgm_bench.results.frame import TARGETED
from lgm_bench.results.tables import CLEAN, Column, Entry, Table, variant_words

_NUMBER = re.compile(r"[-+–<]? ?[\d.,]*(e[-+]\d+)?%?")


@dataclass(frozen=True)
class Grid:
    """A plain table of texts.

    Attributes:
        title: What it shows.
        header: Names of the columns.
        rows: One text per column and row.
        notes: Sentences below the table.
        folded: Whether a page shows only the title at first.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    folded: bool = False

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, which are aligned to the right."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.header)
        return [all(_NUMBER.fullmatch(text) for text in column) for column in columns]


def to_rich(table: Table, hidden: Collection[str] = ()) -> RenderableType:
    """Return a table for a terminal, without the columns whose headers are `hidden`.

    There is one block per victim, untargeted and targeted, side by side as far as they fit.
    """
    blocks = []
    for group, all_columns in table.groups().items():
        columns = [column for column in all_columns if column.header not in hidden]
        targeted = [column for column in columns if column.variant.endswith(TARGETED)]
        untargeted = [column for column in columns if column not in targeted]
        blocks += [_block(table, group, untargeted)] if untargeted else []
        blocks += [_block(table, f"{group}, targeted", targeted)] if targeted else []
    notes = [Text(note, style="dim") for note in table.notes]
    return Group(Text(f"\n{table.title}", style="bold"), Columns(blocks, padding=(0, 3)), *notes)


def to_markdown(table: Table) -> str:
    """Return a table as GitHub Markdown, with its title above and its notes below."""
    heads = [f"{markdown(column.group)}<br>{markdown(heading(column))}" for column in table.columns]
    rows = [
        [markdown(row_label(row)), *(_markdown_entry(table.entry(row, column)) for column in table.columns)]
        for row in table.rows
    ]
    numeric = [False] + [True] * len(heads)
    return _markdown_table(Grid(table.title, [markdown(table.corner), *heads], rows, table.notes), numeric)


def grid_to_markdown(grid: Grid) -> str:
    """Return a grid as GitHub Markdown, with its title above and its notes below."""
    head, *rows = ([markdown(text) for text in row] for row in (grid.header, *grid.rows))
    return _markdown_table(Grid(grid.title, head, rows, grid.notes), grid.numeric)


def _markdown_table(grid: Grid, numeric: Sequence[bool]) -> str:
    """Return a table whose header and rows are Markdown already; `numeric` columns are aligned to the right."""
    rules = ["---:" if to_right else "---" for to_right in numeric]
    lines = [f"| {' | '.join(cells)} |" for cells in (grid.header, rules, *grid.rows)]
    below = [f"- {markdown(note)}" for note in grid.notes]
    return "\n".join([f"**{markdown(grid.title)}**", "", *lines, "", *below]) + "\n"


def to_latex(table: Table) -> str:
    """Return a table as LaTeX (packages booktabs and graphicx); victims and gradients span their columns."""
    spans = [(group, len(columns)) for group, columns in table.groups().items()]
    variants = _runs([(column.group, column.variant) for column in table.columns])
    heads = [
        " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{tex(group)}}}" for group, n in spans)]) + r" \\",
        _rules([n for _, n in spans]),
        " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{tex(variant_words(key[1]))}}}" for key, n in variants)])
        + r" \\",
        _latex_row([table.corner, *(column.header for column in table.columns)]),
    ]
    bodies = []
    for row in table.rows:
        entries = [_latex_entry(table.entry(row, column)) for column in table.columns]
        bodies.append(" & ".join([tex(row_label(row)), *entries]) + r" \\")
    return _latex_table(table.title, heads, bodies, table.notes, f"l{'r' * len(table.columns)}")


def grid_to_latex(grid: Grid) -> str:
    """Return a grid as LaTeX (packages booktabs and graphicx)."""
    head, *bodies = map(_latex_row, [grid.header, *grid.rows])
    columns = "".join("r" if to_right else "l" for to_right in grid.numeric)
    return _latex_table(grid.title, [head], bodies, grid.notes, columns)


def _latex_table(title: str, heads: Sequence[str], bodies: Sequence[str], notes: Sequence[str], columns: str) -> str:
    """Return a table from lines of LaTeX above and below the middle rule; the notes become part of the caption."""
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{tex(title)}. {tex(' '.join(notes))}}}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *heads,
        r"\midrule",
        *bodies,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(texts: Sequence[str]) -> str:
    return " & ".join(map(tex, texts)) + r" \\"


def _block(table: Table, group: str, columns: list[Column]) -> RenderableType:
    block = RichTable(title=group, box=box.SIMPLE_HEAD, title_style="cyan", pad_edge=False)
    block.add_column(table.corner, overflow="fold", vertical="bottom")
    for column in columns:
        words = f"{variant_words(column.variant.removesuffix(TARGETED))}\n{column.header}"
        block.add_column(words.strip(), justify="right", overflow="fold", vertical="bottom")
    for row in table.rows:
        entries = [table.entry(row, column) for column in columns]
        if any(entries):
            cells = [Text(str(entry or ""), style="bold green" if entry and entry.best else "") for entry in entries]
            block.add_row(row_label(row), *cells, end_section=row == CLEAN)
    return Padding(block, (0, 1))


def heading(column: Column) -> str:
    """Return the words above a column: the gradient and the measure."""
    return f"{variant_words(column.variant)} {column.header}".strip()


def row_label(row: str) -> str:
    """Return the words at the beginning of a row."""
    return row.removeprefix("eps=").removeprefix("slope=")


def markdown(text: str) -> str:
    """Return text with the special characters of Markdown and HTML escaped.

    >>> print(markdown("my_data|<b>*[x]"))
    my_data\\|&lt;b>\\*\\[x]
    """
    return _MARKDOWN.sub(r"\\\g<0>", html.escape(text, quote=False).replace("&gt;", ">")).replace("\n", " ")


_MARKDOWN = re.compile(r"[\\|`*\[~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def _markdown_entry(entry: Entry | None) -> str:
    text = "" if entry is None else str(entry)
    return f"**{text}**" if entry and entry.best else text


def _latex_entry(entry: Entry | None) -> str:
    text = "" if entry is None else tex(str(entry))
    return rf"\textbf{{{text}}}" if entry and entry.best else text


def tex(text: str) -> str:
    """Return text with the special characters of LaTeX escaped."""
    return text.translate(_LATEX)


_LATEX = str.maketrans(
    {character: "\\" + character for character in "&%#_${}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    | {"<": "$<$", ">": "$>$", "–": "--"}
)


def _runs(keys: list[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    return [(key, keys.count(key)) for key in dict.fromkeys(keys)]


def _rules(widths: list[int]) -> str:
    rules, first = [], 2
    for width in widths:
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return "".join(rules)
