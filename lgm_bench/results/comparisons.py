"""Comparisons of arms with their baselines, as a table and as JSON."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.results.formats import Grid
from lgm_bench.results.statistics import ALPHA, CONFIDENCE, RESAMPLES, TUNED, Comparison

DIFFERENCE = 6
COLOURS = {"stronger": "bold green", "weaker": "bold red", "undecided": ""}
"""Styles of a difference in a terminal, by whether the arm is a stronger or weaker attack than the baseline."""
IN_TERMINAL = (3, 6, 7, 8, 9, 11)
"""Columns that a terminal shows beside the cell; the tables of results above have the other numbers."""


def comparison_grid(comparisons: Sequence[Comparison]) -> Grid:
    """Return a table with a row for each comparison.

    The column heads name the gradients if there is only one baseline or only one arm.
    """
    baselines = dict.fromkeys(gradient_name(pair.baseline["gradient"]) for pair in comparisons)
    baseline = next(iter(baselines)) if len(baselines) == 1 else "baseline"
    arms = {gradient_name(pair.arm["gradient"]) for pair in comparisons}
    arm = arms.pop() if len(arms) == 1 else "arm"
    values = (baseline, arm, f"{arm} - {baseline}", f"{CONFIDENCE:.0%} interval")
    header = ("cell", "gradient", "measure", "samples", *values, f"{baseline} only", f"{arm} only", "p", "p Holm")
    title = f"Against {' and '.join(baselines)}, on the same samples"
    return Grid(title, header, [_texts(pair) for pair in comparisons], _notes(comparisons, header))


def comparisons_to_rich(comparisons: Sequence[Comparison]) -> RenderableType:
    """Return the tables for a terminal, one per victim."""
    grid = comparison_grid(comparisons)
    tables: dict[str, Table] = {}
    for pair, row in zip(comparisons, grid.rows, strict=True):
        victim = pair.arm["victim"]
        if victim not in tables:
            tables[victim] = _terminal_table(victim, grid.header)
        texts = [Text(row[index], COLOURS[pair.verdict] if index == DIFFERENCE else "") for index in IN_TERMINAL]
        tables[victim].add_row(f"{pair.arm['setting'].removeprefix(victim).strip()} {pair.arm['arm']}", *texts)
    notes = [Text(note, style="dim") for note in grid.notes]
    return Group(Text(f"\n{grid.title}", style="bold"), *tables.values(), *notes)


def _terminal_table(victim: str, header: Sequence[str]) -> Table:
    table = Table(title=victim, title_style="cyan", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("cell", vertical="bottom")  # shrinks on a narrow terminal
    for index in IN_TERMINAL:
        head = header[index].replace(" only", "\nonly")
        table.add_column(head, justify="right", no_wrap=True, vertical="bottom")
    return table


def comparisons_as_json(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return plain values; each of the two cells has its description and its fingerprint."""
    names = [field.name for field in fields(Comparison) if field.name not in ("baseline", "arm")]
    return [
        {
            "cell": pair.arm["setting"],
            "gradient": pair.arm["arm"],
            "against": pair.baseline["arm"],
            "baseline": pair.baseline["fingerprint"],
            "arm": pair.arm["fingerprint"],
            **{name: getattr(pair, name) for name in names},
            "metric": pair.metric.name,
            "verdict": pair.verdict,
        }
        for pair in comparisons
    ]


def verdict_counts(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each arm, baseline and measure: how often the arm is the stronger attack.

    Comparisons are counted and not averaged, since measures and data sets differ.
    """
    kinds: dict[tuple[str, str, str], Counter[str]] = {}
    for pair in comparisons:
        arm, baseline = (gradient_name(line["gradient"]) for line in (pair.arm, pair.baseline))
        kinds.setdefault((arm, baseline, pair.metric.label), Counter())[pair.verdict] += 1
    sentences = []
    for (arm, baseline, measure), counts in kinds.items():
        last = f"{counts['undecided']} comparison{'s' * (counts['undecided'] != 1)}"
        sentences.append(
            f"{arm} is significantly stronger than {baseline} in {counts['stronger']}, weaker in {counts['weaker']}, "
            f"undecided in {last} of {measure} (Holm, {ALPHA:.0%})."
        )
    return sentences


def p_text(value: float | None) -> str:
    """Return a p-value with as many digits as matter.

    >>> p_text(0.0123), p_text(1.0), p_text(3e-8), p_text(None)
    ('0.012', '1.000', '< 0.001', '–')
    """
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _texts(pair: Comparison) -> tuple[str, ...]:
    interval = "{:+.2f} to {:+.2f}".format(*(100 * end for end in pair.interval)) if pair.interval else pair.note
    counts = ["–" if count is None else str(count) for count in (pair.only_baseline, pair.only_arm)]
    values = (f"{100 * pair.baseline_value:.2f}", f"{100 * pair.arm_value:.2f}", f"{100 * pair.difference:+.2f}")
    names = (pair.arm["setting"], pair.arm["arm"], pair.metric.label)
    return (*names, f"{pair.n_samples:,}", *values, interval, *counts, p_text(pair.p_value), p_text(pair.p_holm))


def _notes(comparisons: Sequence[Comparison], header: Sequence[str]) -> list[str]:
    """Return the sentences below the table; only those that concern something in it."""
    *_, difference, interval, only_baseline, only_arm, p, p_holm = header
    metrics = dict.fromkeys(pair.metric for pair in comparisons)
    stronger = [f"{'below' if metric.stronger < 0 else 'above'} 0 of {metric.label}" for metric in metrics]
    notes = [
        *verdict_counts(comparisons),
        f"Values are in percent, {difference} in percentage points; the arm is the stronger attack "
        f"{' and '.join(stronger)}.",
    ]
    if any(pair.interval for pair in comparisons):
        notes.append(f"{interval}: percentile bootstrap over samples, {RESAMPLES:,} resamples, for each row alone.")
    tests = {pair.test for pair in comparisons if pair.p_value is not None}
    if "McNemar" in tests:
        notes.append(
            f"{p}: McNemar's exact test of {only_baseline} and {only_arm}, the attacks that succeed under one of the "
            "two gradients only."
        )
    if "sign-flip" in tests:
        notes.append(
            f"{p} of scenes, and of images with several targets: permutation test that swaps the two results of a "
            "sample."
        )
    if tests:
        notes.append(f"{p_holm}: corrected for all {len(comparisons)} comparisons of this table.")
    differing = dict.fromkeys(text for pair in comparisons for text in _other_differences(pair))
    if differing:
        notes.append(f"Pairs that differ in more than the gradient (baseline, arm): {'; '.join(differing)}.")
    few = dict.fromkeys(
        f"{pair.arm['data']} ({pair.n_samples})" for pair in comparisons if pair.note == "too few samples"
    )
    if few:
        notes.append(f"Too few samples to say how certain the difference is: {', '.join(few)}.")
    if any(pair.note == "all samples alike" for pair in comparisons):
        notes.append("All samples alike: every sample differs by the same amount, so resampling shows no spread.")
    return notes


def _other_differences(pair: Comparison) -> list[str]:
    """Return what differs between the two cells besides the gradient."""
    values = ((name, pair.baseline[name], pair.arm[name]) for name in TUNED if name != "relation")
    return [f"{pair.arm['victim']} {name} {_plain(a)}, {_plain(b)}" for name, a, b in values if a != b]


def _plain(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)
