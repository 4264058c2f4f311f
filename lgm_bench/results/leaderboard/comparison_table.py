"""A comparison as a reader sees it: a table, the samples that differ, and a sentence."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.table import Table

from lgm_bench.evaluation.wording import describe
from lgm_bench.results.leaderboard.comparing import EXTRA, OK, CellCompared, NumberCompared

FIRST_SAMPLES, MOST_EXTRA = 5, 10


def as_table(compared: Sequence[CellCompared], source: str) -> Table:
    """Return a table in percent: a row for each number of cells that need a look, and one for each of the others."""
    table = Table(
        title=f"Against {source}, in percent",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("cell")
    table.add_column("number")
    for name in ("expected", "got", "delta", "tolerance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for one in compared:
        if one.verdicts != (EXTRA,):
            _add(table, one)
    return table


def _add(table: Table, one: CellCompared) -> None:
    name = describe(one.cell)
    if not one.bad:
        for number in [number for number in one.numbers if number.metric.stronger][:1] or one.numbers[:1]:
            table.add_row(name, *_row(number), f"ok (all {len(one.numbers)} numbers)" if one.numbers[1:] else OK)
        return
    other = [verdict for verdict in one.verdicts if verdict != "changed"]
    if other:
        note = f" ({one.note})" * bool(one.note)
        table.add_row(name, "", "", "", "", "", f"{', '.join(other)}{note}", style="bold red")
        name = ""
    for number in one.numbers:
        bad = number.verdict != OK
        table.add_row(name, *_row(number), number.verdict, style="bold red" if bad else "")
        name = ""


def _row(number: NumberCompared) -> tuple[str, ...]:
    delta = "–" if number.delta is None else f"{100 * number.delta:+.2f}"
    shares = (number.expected, number.got, number.tolerance)
    expected, got, tolerance = ("–" if value is None else f"{100 * value:.2f}" for value in shares)
    return number.metric.label, expected, got, delta, tolerance


def as_lines(compared: Sequence[CellCompared]) -> list[str]:
    """Return what stands below the table: the first samples of cells that need a look, extra cells, the count."""
    lines = []
    for one in compared:
        if one.bad and one.differing:
            lines.append(f"{describe(one.cell)}: {_counted(len(one.differing), 'sample')} differ, the first:")
            lines += [f"  {name} {how}" for name, how in one.differing[:FIRST_SAMPLES]]
        elif one.bad and one.numbers and one.note:
            lines.append(f"{describe(one.cell)}: {one.note}")
    extra = [describe(one.cell) for one in compared if one.verdicts == (EXTRA,)]
    if extra:
        more = f" and {len(extra) - MOST_EXTRA} more" if len(extra) > MOST_EXTRA else ""
        lines.append(f"not in the leaderboard, and not compared: {', '.join(extra[:MOST_EXTRA])}{more}")
    return [*lines, summary(compared)]


def summary(compared: Sequence[CellCompared]) -> str:
    """Return the outcome in a sentence."""
    expected = [one for one in compared if one.verdicts != (EXTRA,)]
    counts = Counter(verdict for one in expected for verdict in one.verdicts)
    parts = [f"{count} {verdict}" for verdict, count in counts.items()]
    flips = sum(len(one.differing) for one in expected if not one.bad)
    within = f"; {_counted(flips, 'sample')} differ within the tolerances" if flips else ""
    return f"{_counted(len(expected), 'cell')}: {', '.join(parts)}{within}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
