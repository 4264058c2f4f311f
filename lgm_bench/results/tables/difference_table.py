"""LGM against FGM as a table: how far they differ on the same samples, and how sure that is."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lgm_bench.evaluation.wording import describe
from lgm_bench.results.statistics import CONFIDENCE, RESAMPLES, PairedDifference
from lgm_bench.results.tables.table_formats import markdown_row, tex

TITLE = "LGM against FGM, on the same samples"
HEAD = (
    "cell",
    "measure",
    "samples",
    "FGM",
    "LGM",
    "LGM - FGM",
    f"{CONFIDENCE:.0%} interval",
    "FGM only",
    "LGM only",
    "p",
)
N_TEXTS, ABOVE = 2, ("measure", "FGM", "LGM")
MEASURES = {"accuracy": "accuracy", "success": "success", "miou": "mIoU"}


def difference_rows(differences: Sequence[PairedDifference]) -> list[tuple[str, ...]]:
    """Return the rows below `HEAD`, as texts."""
    return [_row(one) for one in differences]


def difference_notes(differences: Sequence[PairedDifference]) -> list[str]:
    """Return the sentences below the table, as far as they concern something in it."""
    metrics = {one.metric for one in differences}
    weaker = ["below 0 LGM leaves less"] if metrics - {"success"} else []
    weaker += ["of success rates, above 0 LGM succeeds more often"] if "success" in metrics else []
    notes = [f"In percent, differences in points: {'; '.join(weaker)}."]
    if any(one.interval for one in differences):
        notes.append(f"Intervals: percentile bootstrap over samples, {RESAMPLES:,} resamples; each row by itself.")
    if any(one.p_value is not None for one in differences):
        notes.append(
            "FGM only, LGM only: attacks that succeed under one of the two alone; p: McNemar's exact test of them."
        )
    unlike = dict.fromkeys(text for one in differences for text in _unlike(one))
    if unlike:
        notes.append(f"Here the two differ in more than the gradient (FGM, LGM): {'; '.join(unlike)}.")
    few = dict.fromkeys(
        f"{one.lgm.cell.data} ({one.n_samples})" for one in differences if one.note == "too few samples"
    )
    if few:
        notes.append(f"Too few samples to say how sure the difference is: {', '.join(few)}.")
    if any(one.note == "all samples alike" for one in differences):
        notes.append("All samples alike: every one differs by the same, so resampling them shows no spread.")
    if any(one.only_lgm is not None and one.p_value is None for one in differences):
        notes.append("No p where an image has several targets: its attacks are not independent.")
    return notes


def differences_to_rich(differences: Sequence[PairedDifference]) -> RenderableType:
    """Return the table for a terminal, without the numbers that stand in the tables of results above it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    kept = [index for index, name in enumerate(HEAD) if name not in ABOVE]
    for index in kept:
        # The first column gives way on a narrow terminal.
        head = HEAD[index].replace(" only", "\nonly")
        table.add_column(
            head, justify="right" if index else "left", no_wrap=index > 0, overflow="fold", vertical="bottom"
        )
    for row in difference_rows(differences):
        table.add_row(*(row[index] for index in kept))
    notes = [Text(note, style="dim") for note in difference_notes(differences)]
    return Group(Text(f"\n{TITLE}", style="bold"), table, *notes)


def differences_to_markdown(differences: Sequence[PairedDifference]) -> str:
    """Return the table as GitHub Markdown."""
    rules = ["---"] * N_TEXTS + ["---:"] * (len(HEAD) - N_TEXTS)
    lines = [markdown_row(list(row)) for row in (HEAD, rules, *difference_rows(differences))]
    notes = "\n".join(f"- {note}" for note in difference_notes(differences))
    return f"**{TITLE}**\n\n" + "\n".join(lines) + f"\n\n{notes}\n"


def differences_to_latex(differences: Sequence[PairedDifference]) -> str:
    """Return the table as LaTeX, for the packages booktabs and graphicx."""
    bodies = [" & ".join(tex(text) for text in row) + r" \\" for row in difference_rows(differences)]
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{tex(TITLE)}. {tex(' '.join(difference_notes(differences)))}}}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{{'l' * N_TEXTS}{'r' * (len(HEAD) - N_TEXTS)}}}",
        r"\toprule",
        " & ".join(tex(name) for name in HEAD) + r" \\",
        r"\midrule",
        *bodies,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def differences_as_json(differences: Sequence[PairedDifference]) -> list[dict[str, Any]]:
    """Return plain values; the two cells by what they are and by the names of their folders."""
    found = []
    for one in differences:
        values = {key: value for key, value in asdict(one).items() if key not in ("fgm", "lgm")}
        names = {"cell": _name(one), "fgm": one.fgm.fingerprint, "lgm": one.lgm.fingerprint}
        found.append({**names, **values})
    return found


def p_text(value: float) -> str:
    """Return a p-value in words that do not promise more digits than matter.

    >>> p_text(0.0123), p_text(1.0), p_text(3e-8)
    ('0.012', '1.000', '< 0.001')
    """
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _row(one: PairedDifference) -> tuple[str, ...]:
    interval = "{:+.2f} to {:+.2f}".format(*(100 * end for end in one.interval)) if one.interval else one.note
    counts = ["–" if count is None else str(count) for count in (one.only_fgm, one.only_lgm)]
    p_value = "–" if one.p_value is None else p_text(one.p_value)
    values = (f"{100 * one.fgm_value:.2f}", f"{100 * one.lgm_value:.2f}", f"{100 * one.difference:+.2f}")
    return (_name(one), MEASURES[one.metric], f"{one.n_samples:,}", *values, interval, *counts, p_value)


def _unlike(one: PairedDifference) -> list[str]:
    """Return what else than the gradient differs between the two cells."""
    pairs = ((name, getattr(one.fgm.cell, name), getattr(one.lgm.cell, name)) for name in ("step", "steps", "loss"))
    return [f"{one.lgm.cell.victim} {name} {fgm}, {lgm}" for name, fgm, lgm in pairs if fgm != lgm]


def _name(one: PairedDifference) -> str:
    return describe(one.lgm.cell).replace(" LGM slope ", " slope ").removesuffix(" LGM")
