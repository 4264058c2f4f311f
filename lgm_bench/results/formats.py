"""Tables in the forms of terminals, Markdown and LaTeX."""

import html
import re
from collections.abc import Collection, Sequence

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from lgm_bench.results.frame import TARGETED
from lgm_bench.results.tables import CLEAN, Column, Entry, Table, variant_words


def to_rich(table: Table, hidden: Collection[str] = ()) -> RenderableType:
    """Return a table for a terminal: one block per victim and kind of target, side by side as far as they fit.

    Args:
        table: The table.
        hidden: Headers of columns to leave out.
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
    return markdown_table(table.title, [markdown(table.corner), *heads], rows, table.notes)


def markdown_table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], n_texts: int = 1
) -> str:
    """Return a table as GitHub Markdown.

    Args:
        title: Stands above, as text.
        head: Names of the columns, as Markdown.
        rows: As Markdown.
        notes: Stand below, as text.
        n_texts: First columns that stand to the left.
    """
    rules = ["---"] * n_texts + ["---:"] * (len(head) - n_texts)
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rules, *rows)]
    below = [f"- {markdown(note)}" for note in notes]
    return "\n".join([f"**{markdown(title)}**", "", *lines, "", *below]) + "\n"


def to_latex(table: Table) -> str:
    """Return a table as LaTeX, for the packages booktabs and graphicx; victims and gradients span their columns."""
    spans = [(group, len(columns)) for group, columns in table.groups().items()]
    variants = _runs([(column.group, column.variant) for column in table.columns])
    heads = [
        " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{tex(group)}}}" for group, n in spans)]) + r" \\",
        _rules([n for _, n in spans]),
        " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{tex(variant_words(key[1]))}}}" for key, n in variants)])
        + r" \\",
        latex_row([table.corner, *(column.header for column in table.columns)]),
    ]
    bodies = []
    for row in table.rows:
        entries = [_latex_entry(table.entry(row, column)) for column in table.columns]
        bodies.append(" & ".join([tex(row_label(row)), *entries]) + r" \\")
    return latex_table(table.title, heads, bodies, table.notes, f"l{'r' * len(table.columns)}")


def latex_table(title: str, heads: Sequence[str], bodies: Sequence[str], notes: Sequence[str], columns: str) -> str:
    """Return a table as LaTeX.

    Args:
        title: As text.
        heads: Lines above the rule, as LaTeX.
        bodies: Lines below it, as LaTeX.
        notes: As text, which become part of the caption.
        columns: Alignment of the columns, such as "lrr".
    """
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


def latex_row(texts: Sequence[str]) -> str:
    """Return a line of a table as LaTeX."""
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
    """Return the words above a column: its gradient and what is measured."""
    return f"{variant_words(column.variant)} {column.header}".strip()


def row_label(row: str) -> str:
    """Return the words before a row."""
    return row.removeprefix("eps=").removeprefix("slope=")


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
