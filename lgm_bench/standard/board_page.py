"""The board as one HTML file: the gap between what FGM leaves and the worst case, and a table that sorts."""

from collections.abc import Sequence
from itertools import groupby

from lgm_bench.report.drawing import ARM_COLOURS, Style
from lgm_bench.report.dumbbells import CLEAN, WORST, Dumbbell, dumbbell_panel, legend_of
from lgm_bench.report.model import Figure, Section
from lgm_bench.report.page import document
from lgm_bench.results.formats import Grid
from lgm_bench.results.levels import Level
from lgm_bench.results.statistics import CONFIDENCE
from lgm_bench.standard.board import KINDS, Entry
from lgm_bench.tasks.metric import Metric

PAGE = "Board"
REPORTED, FGM, CONTROL = "reported", "fgm", "control"
STYLES = {
    REPORTED: Style("reported", ARM_COLOURS[3], "diamond"),
    FGM: Style("FGM", ARM_COLOURS[0], "circle"),
    CONTROL: Style("control: FGM with as many gradients", ARM_COLOURS[1], "square"),
}
"""Points between the accuracy without an attack and the worst case."""
MEASURED = {CLEAN: "clean", FGM: "fgm", CONTROL: "control", WORST: "worst"}
INTRO = (
    "How much adaptive networks still recognise under the standard evaluation: for each sample, the worst case over "
    "all gradients. The control has the same runs under FGM, the plain gradient, from other random starts."
)
CAPTION = (
    f"Thin lines are {CONFIDENCE:.0%} bootstrap intervals over samples. On the right: how many points the gradients "
    "together leave less than the control, with its interval."
)
FIGURES = ("clean, %", "reported, %", "FGM, %", "control, %", "worst case, %", "interval", "below the control")
MEASURED_WITH = ("budget", "MMACs clean", "attacked", "reliability", "weights from", "version")
"""Columns of the tables, but for the first ones and the number of samples."""


def board_page(entries: Sequence[Entry]) -> str:
    """Return the board as HTML that needs no other file and no network.

    Args:
        entries: In the order of `board.read_board`.

    Raises:
        ConfigError: Plotly is not installed.
    """
    limited = sum(entry.limited for entry in entries)
    notes = [f"{limited} of {len(entries)} entries are of a part of their data set only."] if limited else []
    gap = Section("gap", "From the accuracy without an attack to the worst case", PAGE, intro=[INTRO])
    gap.figures = _figures(entries)
    tables = [_table(kind, [entry for entry in entries if entry.sample == kind]) for kind in KINDS]
    table = Section("networks", "All networks", PAGE, grids=[table for table in tables if table.rows])
    flags = [(e.network, e.threat, flag.name, flag.evidence) for e in entries for flag in e.flags]
    title = "Flags: reasons to doubt a number"
    evidence = [Grid(title, ("network", "threat model", "flag", "evidence"), flags)] if flags else []
    networks = len({entry.network for entry in entries})
    return document(
        "Standard evaluations",
        f"{networks} networks, {len(entries)} entries",
        [gap, table, Section("flags", "Flags", PAGE, grids=evidence)],
        notes,
    )


def _figures(entries: Sequence[Entry]) -> list[Figure]:
    """Return a chart for each data set and threat model; the first one has the caption."""
    figures: list[Figure] = []
    for (sample, data, threat), group in groupby(entries, lambda entry: (entry.sample, entry.data, entry.threat)):
        rows = [_dumbbell(entry) for entry in sorted(group, key=lambda entry: -entry.gain.value)]
        title = f"{_metric(sample).title} on {data}, {threat}"
        panel = dumbbell_panel(rows, STYLES, title)
        figures.append(Figure(title, "" if figures else CAPTION, [[panel]], legend_of(rows, STYLES)))
    return figures


def _dumbbell(entry: Entry) -> Dumbbell:
    levels: dict[str, Level] = {}
    for name, key in MEASURED.items():
        figure = entry.left[key]
        levels[name] = Level(figure.value, figure.interval, entry.n_samples)
    details = {CLEAN: f"{entry.samples} of {entry.data}"}
    if entry.reported:
        levels[REPORTED] = Level(entry.reported.accuracy)
        details[REPORTED] = entry.reported.place
    return Dumbbell(
        f"{entry.network}, {'' if entry.limited else 'all '}{entry.samples}", levels, below_control(entry), details
    )


def below_control(entry: Entry) -> str:
    """Return how many points the gradients leave less than the control, with the interval: "+3.0 (0.0 to +7.0)"."""
    ends = entry.gain.interval
    interval = " ({:+.1f} to {:+.1f})".format(*(100 * end for end in ends)) if ends else ""
    return f"{100 * entry.gain.value:+.1f}{interval}"


def _metric(sample: str) -> Metric:
    return KINDS[sample].metric(KINDS[sample].main)


def _table(sample: str, entries: Sequence[Entry]) -> Grid:
    """Return the table of networks on one kind of samples."""
    notes = [
        "Reliability says what limits the trust in a row. The budget standard-fast has a fraction of the gradients."
    ]
    if any(entry.compute for entry in entries):
        notes.insert(
            0,
            f"MMACs: million multiply-adds per {sample}, without an attack and under the worst one, over the {sample}s "
            "that are right without one.",
        )
    header = ("network", "threat model", *FIGURES, f"{sample}s", *MEASURED_WITH)
    title = f"{sample.capitalize()}s: {_metric(sample).label} left, and what it was measured with"
    return Grid(title, header, [_row(entry) for entry in entries], notes)


def _row(entry: Entry) -> tuple[str, ...]:
    percent = {name: f"{100 * entry.left[key].value:.1f}" for name, key in MEASURED.items()}
    ends = entry.left["worst"].interval
    compute = entry.compute or ("–", "–")
    return (
        entry.network,
        f"{entry.data}, {entry.threat}",
        percent[CLEAN],
        f"{100 * entry.reported.accuracy:.1f}" if entry.reported else "–",
        percent[FGM],
        percent[CONTROL],
        percent[WORST],
        "{:.1f} to {:.1f}".format(*(100 * end for end in ends)) if ends else "–",
        below_control(entry),
        f"{entry.n_samples:,}",
        entry.budget,
        *(number if isinstance(number, str) else f"{number:.2f}" for number in compute),
        "; ".join(entry.reliability) or "–",
        entry.source or "–",
        entry.version,
    )
