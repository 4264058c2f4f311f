"""The plan of a suite in a terminal: its cells with the estimated cost of each."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.estimates.preview import Preview
from lgm_bench.evaluation.wording import describe

UNKNOWN = "?"
METHOD = (
    "Estimates: operations of a forward and a backward pass x iterations x samples (targeted attacks: x other classes; "
    "on points: plus a forward pass per iteration for the prediction). Not included: clean predictions, predictions of "
    "attacked images, reading data. Images that need no attack are counted as if they were attacked."
)
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 31_557_600


def preview_table(preview: Preview) -> RenderableType:
    """Return a table of cells per table of the paper or per data set, and the sums over all cells."""
    parts: list[RenderableType] = []
    for name, numbers in preview.groups().items():
        paper = paper_tables().get(name)
        block = Table(title=paper.title if paper else name, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        block.add_column("cell")
        block.add_column("", no_wrap=True)
        for heading in ("samples", "iterations", "GFLOP each", "in all", "time"):
            block.add_column(heading, justify="right", no_wrap=True)
        for number in numbers:
            block.add_row(*_row(preview, number))
        parts.append(block)
    return Group(*parts, _sums(preview), Text(METHOD, style="dim"), Text(_rates(preview), style="dim"))


def operations(gflops: float) -> str:
    """Return a number of operations in a readable unit.

    >>> operations(0.5), operations(1_500_000)
    ('0.500 GFLOP', '1.5 PFLOP')
    """
    if not gflops:
        return "0"
    for unit in ("GFLOP", "TFLOP", "PFLOP"):
        if gflops < 1000:
            return f"{gflops:.3g} {unit}" if gflops >= 1 else f"{gflops:.3f} {unit}"
        gflops /= 1000
    return f"{gflops:,.3g} EFLOP"


def duration(seconds: float) -> str:
    """Return a rough time in a readable unit.

    >>> duration(0.2), duration(90), duration(5400), duration(3e5), duration(1e8)
    ('< 1 s', '1.5 min', '1.5 h', '3.5 days', '3.2 years')
    """
    if seconds < 1:
        return "< 1 s" if seconds else "0"
    units = ((YEAR, "years"), (DAY, "days"), (HOUR, "h"), (MINUTE, "min"))
    for size, unit in units:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _row(preview: Preview, number: int) -> list[str]:
    cell, estimate = preview.cells[number], preview.work[number]
    state = "missing" if cell in preview.missing else "ready"
    if estimate.same_as is not None:
        return [describe(cell), state, *[""] * 3, "0", f"as {_where(estimate.same_as.paper)}"]
    gflops, seconds = estimate.total_gflops, preview.seconds(estimate)
    tries = f" x {estimate.attempts}" if estimate.attempts > 1 else ""
    return [
        describe(cell),
        state,
        UNKNOWN if estimate.samples is None else f"{estimate.samples:,}{tries}",
        f"{estimate.iterations:,}",
        UNKNOWN if estimate.gflops is None else _short_number(estimate.gflops),
        UNKNOWN if gflops is None else operations(gflops),
        UNKNOWN if seconds is None else duration(seconds),
    ]


def _short_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _where(place: tuple[str, ...] | None) -> str:
    return _short(place[0]) if place else "above"


def _short(name: str) -> str:
    """Return the short name of a table: the beginning of its title."""
    paper = paper_tables().get(name)
    return paper.title.partition(",")[0] if paper else name


def _sums(preview: Preview) -> Table:
    block = Table(title="in all", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    total = _sum(preview, "total", list(range(len(preview.cells))))
    headings = ("", "cells", "ready", "in all", "time")
    for place, (heading, footer) in enumerate(zip(headings, total, strict=True)):
        block.add_column(heading, footer, justify="right" if place else "left", no_wrap=True)
    for name, numbers in preview.groups().items():
        block.add_row(*_sum(preview, _short(name), numbers))
    return block


def _sum(preview: Preview, name: str, numbers: list[int]) -> list[str]:
    sums = preview.totals(numbers)
    more = f" + {sums['unknown']} {UNKNOWN}" if sums["unknown"] else ""
    work, time = operations(sums["gflops"]), duration(sums["seconds"])
    return [name, str(sums["cells"]), str(sums["ready"]), work + more, time + more]


def _rates(preview: Preview) -> str:
    rates = ", ".join(f"{rate:.0f} GFLOP/s on {kind}" for kind, rate in preview.rates.items())
    if not rates:
        return "Times are unknown, since the cost of these cells is."
    return f"Times are rough: on one device ({preview.device}), at the rate of a short measurement just now, {rates}."
