"""Comparisons of arms with their baselines as a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.results.formats import latex_row, latex_table, markdown, markdown_table
from lgm_bench.results.statistics import ALPHA, CONFIDENCE, RESAMPLES, TUNED, Comparison

N_TEXTS = 3
DIFFERENCE = 6
COLOURS = {"stronger": "bold green", "weaker": "bold red", "undecided": ""}
"""Of a difference in a terminal: the attack is stronger or weaker than the baseline."""
IN_TERMINAL = (3, 6, 7, 8, 9, 11)
"""Columns for a terminal, behind the cell in full: without the numbers of the tables of results above it."""


def comparisons_title(comparisons: Sequence[Comparison]) -> str:
    """Return what the table shows."""
    baselines = dict.fromkeys(gradient_name(one.baseline["gradient"]) for one in comparisons)
    return f"Against {' and '.join(baselines)}, on the same samples"


def comparisons_head(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Return the names of the columns, with the gradients' names where there is one baseline or one arm."""
    baseline = _only([one.baseline["gradient"] for one in comparisons], "baseline")
    arm = _only([one.arm["gradient"] for one in comparisons], "arm")
    values = (baseline, arm, f"{arm} - {baseline}", f"{CONFIDENCE:.0%} interval")
    return ("cell", "gradient", "measure", "samples", *values, f"{baseline} only", f"{arm} only", "p", "p Holm")


def comparisons_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return the rows below `comparisons_head`, as texts."""
    return [_row(one) for one in comparisons]


def verdict_counts(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each arm, baseline and measure: how often the arm is the stronger attack.

    Differences of other measures or other data are never averaged: they are counted.
    """
    kinds: dict[tuple[str, str, str], Counter[str]] = {}
    for one in comparisons:
        arm, baseline = (gradient_name(line["gradient"]) for line in (one.arm, one.baseline))
        kinds.setdefault((arm, baseline, one.metric.label), Counter())[one.verdict] += 1
    sentences = []
    for (arm, baseline, measure), counts in kinds.items():
        undecided = f"{counts['undecided']} comparison{'s' * (counts['undecided'] != 1)}"
        sentences.append(
            f"{arm} against {baseline}, {measure}: significantly stronger in {counts['stronger']}, weaker in "
            f"{counts['weaker']}, undecided in {undecided} (Holm, {ALPHA:.0%})."
        )
    return sentences


def comparisons_notes(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the sentences below the table, as far as they concern something in it."""
    *_, difference, interval, only_baseline, only_arm, p, p_holm = comparisons_head(comparisons)
    metrics = dict.fromkeys(one.metric for one in comparisons)
    stronger = [f"{'below' if metric.stronger < 0 else 'above'} 0 of {metric.label}" for metric in metrics]
    notes = [
        *verdict_counts(comparisons),
        f"In percent, {difference} in points; the arm is the stronger attack {' and '.join(stronger)}.",
    ]
    if any(one.interval for one in comparisons):
        notes.append(f"{interval}: percentile bootstrap over samples, {RESAMPLES:,} resamples; each row by itself.")
    tests = {one.test for one in comparisons if one.p_value is not None}
    if "McNemar" in tests:
        notes.append(f"{p}: McNemar's exact test of {only_baseline} and {only_arm}, the attacks that succeed alone.")
    if "sign-flip" in tests:
        notes.append(
            f"{p} of scenes, and of images with several targets: permutation test that swaps the two results of a "
            "sample."
        )
    if tests:
        notes.append(f"{p_holm}: corrected for all {len(comparisons)} comparisons of this table.")
    unlike = dict.fromkeys(text for one in comparisons for text in _unlike(one))
    if unlike:
        notes.append(f"Here the two differ in more than the gradient (baseline, arm): {'; '.join(unlike)}.")
    few = dict.fromkeys(f"{one.arm['data']} ({one.n_samples})" for one in comparisons if one.note == "too few samples")
    if few:
        notes.append(f"Too few samples to say how sure the difference is: {', '.join(few)}.")
    if any(one.note == "all samples alike" for one in comparisons):
        notes.append("All samples alike: every one differs by the same, so resampling them shows no spread.")
    return notes


def comparisons_to_rich(comparisons: Sequence[Comparison]) -> RenderableType:
    """Return the tables for a terminal, one per victim."""
    head = comparisons_head(comparisons)
    tables: dict[str, Table] = {}
    for one, row in zip(comparisons, comparisons_rows(comparisons), strict=True):
        victim = one.arm["victim"]
        if victim not in tables:
            tables[victim] = _table_of(victim, head)
        texts = [Text(row[index], COLOURS[one.verdict] if index == DIFFERENCE else "") for index in IN_TERMINAL]
        tables[victim].add_row(f"{one.arm['setting'].removeprefix(victim).strip()} {one.arm['arm']}", *texts)
    notes = [Text(note, style="dim") for note in comparisons_notes(comparisons)]
    return Group(Text(f"\n{comparisons_title(comparisons)}", style="bold"), *tables.values(), *notes)


def _table_of(victim: str, head: Sequence[str]) -> Table:
    table = Table(title=victim, title_style="cyan", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("cell", vertical="bottom")  # gives way on a narrow terminal
    for index in IN_TERMINAL:
        table.add_column(head[index].replace(" only", "\nonly"), justify="right", no_wrap=True, vertical="bottom")
    return table


def comparisons_to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return the table as GitHub Markdown."""
    rows = [[markdown(text) for text in row] for row in comparisons_rows(comparisons)]
    title, notes = comparisons_title(comparisons), comparisons_notes(comparisons)
    return markdown_table(title, list(map(markdown, comparisons_head(comparisons))), rows, notes, N_TEXTS)


def comparisons_to_latex(comparisons: Sequence[Comparison]) -> str:
    """Return the table as LaTeX, for the packages booktabs and graphicx."""
    head, *bodies = map(latex_row, [comparisons_head(comparisons), *comparisons_rows(comparisons)])
    columns = "l" * N_TEXTS + "r" * (len(comparisons_head(comparisons)) - N_TEXTS)
    return latex_table(comparisons_title(comparisons), [head], bodies, comparisons_notes(comparisons), columns)


def comparisons_as_json(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return plain values; the two cells by what they are and by the names of their folders."""
    names = [field.name for field in fields(Comparison) if field.name not in ("baseline", "arm")]
    return [
        {
            "cell": one.arm["setting"],
            "gradient": one.arm["arm"],
            "against": one.baseline["arm"],
            "baseline": one.baseline["fingerprint"],
            "arm": one.arm["fingerprint"],
            **{name: getattr(one, name) for name in names},
            "metric": one.metric.name,
            "verdict": one.verdict,
        }
        for one in comparisons
    ]


def p_text(value: float | None) -> str:
    """Return a p-value in words that do not promise more digits than matter.

    >>> p_text(0.0123), p_text(1.0), p_text(3e-8), p_text(None)
    ('0.012', '1.000', '< 0.001', '–')
    """
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _row(one: Comparison) -> tuple[str, ...]:
    interval = "{:+.2f} to {:+.2f}".format(*(100 * end for end in one.interval)) if one.interval else one.note
    counts = ["–" if count is None else str(count) for count in (one.only_baseline, one.only_arm)]
    values = (f"{100 * one.baseline_value:.2f}", f"{100 * one.arm_value:.2f}", f"{100 * one.difference:+.2f}")
    texts = (one.arm["setting"], one.arm["arm"], one.metric.label)
    return (*texts, f"{one.n_samples:,}", *values, interval, *counts, p_text(one.p_value), p_text(one.p_holm))


def _only(gradients: Sequence[str], several: str) -> str:
    return gradient_name(gradients[0]) if len(set(gradients)) == 1 else several


def _unlike(one: Comparison) -> list[str]:
    """Return what else than the gradient differs between the two cells."""
    pairs = ((name, one.baseline[name], one.arm[name]) for name in TUNED if name != "relation")
    return [
        f"{one.arm['victim']} {name} {_plain(first)}, {_plain(second)}"
        for name, first, second in pairs
        if first != second
    ]


def _plain(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)
