"""Tables for terminals, Markdown and LaTeX."""

import html
import re

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from lgm_bench.results.tables.table import CLEAN, TARGETED, Column, Entry, Table, variant_words


def to_rich(table: Table) -> RenderableType:
    """Return a table for a terminal: one block a victim and kind of target, side by side as far as they fit."""
    blocks = []
    for group, columns in table.groups().items():
        targeted = [column for column in columns if column.variant.endswith(TARGETED)]
        untargeted = [column for column in columns if column not in targeted]
        blocks += [_block(table, group, untargeted)] if untargeted else []
        blocks += [_block(table, f"{group}, targeted", targeted)] if targeted else []
    notes = [Text(note, style="dim") for note in table.notes]
    return Group(Text(f"\n{table.title}", style="bold"), Columns(blocks, padding=(0, 3)), *notes)


def to_markdown(table: Table) -> str:
    """Return a table as GitHub Markdown, with its title above and its notes below."""
    heads = [f"{markdown(column.group)}<br>{markdown(heading(column))}" for column in table.columns]
    lines = [markdown_row([markdown(table.corner), *heads]), markdown_row(["---", *["---:"] * len(heads)])]
    for row in table.rows:
        entries = [table.entry(row, column) for column in table.columns]
        lines.append(markdown_row([markdown(row_label(row)), *(_markdown_entry(entry) for entry in entries)]))
    notes = "\n".join(f"- {markdown(note)}" for note in table.notes)
    return f"**{markdown(table.title)}**\n\n" + "\n".join(lines) + f"\n\n{notes}\n"


def to_latex(table: Table) -> str:
    """Return a table as LaTeX, for the packages booktabs and graphicx; victims and gradients span their columns."""
    spans = [(group, len(columns)) for group, columns in table.groups().items()]
    variants = _runs([(column.group, column.variant) for column in table.columns])
    bodies = []
    for row in table.rows:
        entries = [table.entry(row, column) for column in table.columns]
        bodies.append(" & ".join([tex(row_label(row)), *(_latex_entry(entry) for entry in entries)]) + r" \\")
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{tex(table.title)}. {tex(' '.join(table.notes))}}}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{tex(group)}}}" for group, n in spans)]) + r" \\",
        _rules([n for _, n in spans]),
        " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{variant_words(key[1])}}}" for key, n in variants)]) + r" \\",
        " & ".join([tex(table.corner), *(tex(column.header) for column in table.columns)]) + r" \\",
        r"\midrule",
        *bodies,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


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
    """Return the words above a column: its gradient and what is measured."""
    return f"{variant_words(column.variant)} {column.header}".strip()


def row_label(row: str) -> str:
    """Return the words before a row."""
    return row.removeprefix("eps=").removeprefix("slope=")


def markdown_row(cells: list[str]) -> str:
    """Return a row of a Markdown table, of cells that are Markdown."""
    return f"| {' | '.join(cells)} |"


def markdown(text: str) -> str:
    """Return text with what means something to Markdown or HTML escaped.

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
    """Return text with what means something to LaTeX escaped."""
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
