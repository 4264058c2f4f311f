"""Results in a terminal: a list of many, or one in full."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lgm_bench.cli.output import Aligned
from lgm_bench.cli.views.row_tables import notable_samples
from lgm_bench.evaluation.cells.units import true_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.tally import unit_sums
from lgm_bench.evaluation.wording import clock, describe, values_of, when
from lgm_bench.results.caveats import caveats
from lgm_bench.results.reading import Finished

BAR = 20
DIGITS = 8
Pairs = Sequence[tuple[str, str]]


def results_table(finished: Sequence[Finished]) -> Aligned:
    """Return a table of finished cells with the main figure of each, before and after the attack."""
    rows = []
    for one in finished:
        result, cell, main = one.result, one.result.cell, one.result.main
        values = (result.metrics[name] for name in (main.before, main.name))
        clean, attacked = ("-" if value is None else main.text(value) for value in values)
        n_samples = f"first {result.n_samples:,}" if cell.data.limit else f"{result.n_samples:,}"
        subset = "" if cell.data.subset == "test" else f" {cell.data.subset}"
        what = f"{describe(cell)} on {cell.data.name}{subset}"
        rows.append((result.fingerprint[:DIGITS], n_samples, main.label, clean.rjust(7), attacked.rjust(8), what))
    heading = ("cell", "samples", "measure", "  clean", "attacked", "what was run")
    return Aligned(rows, [""] * len(rows), heading)


def full_result(finished: Finished, rows: pa.Table) -> RenderableType:
    """Return everything about one finished cell and its rows."""
    result = finished.result
    parts: list[RenderableType] = [Text(describe(result.cell), style="bold"), Text(str(finished.folder), style="dim")]
    for title, pairs in (
        ("Numbers", list(_numbers(result))),
        ("Configuration", _configuration(result)),
        ("Checks", list(_checks(result))),
        ("Provenance", list(_provenance(result))),
    ):
        parts += [_heading(title), _pairs(pairs)]
    if result.classes:
        parts += [_heading("Classes"), _classes(result)]
    if result.units:
        parts += [_heading(result.kind.units), _units(rows)]
    notable = list(notable_samples(result, rows))
    parts += [_heading("Samples"), _pairs(notable)] if notable else []
    return Group(*parts)


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="cyan")


def _pairs(pairs: Pairs) -> Aligned:
    return Aligned([(f"  {name}", value) for name, value in pairs], [("dim", "")] * len(pairs))


def _numbers(result: CellResult) -> Iterator[tuple[str, str]]:
    per = {"attacked": f" of {result.n_attacked:,} attacked", "decisions": f" of {result.kind.decisions}"}
    for metric in result.kind.metrics:
        value = result.metrics[metric.name]
        if value is not None:
            yield metric.label, metric.text(value) + per.get(metric.per, "")
    per_sample = f", {result.n_attempts:,} attacks" if result.n_attempts != result.n_samples else ""
    first = " (the first ones of the set)" if result.cell.data.limit else ""
    yield "samples", f"{result.n_samples:,}{per_sample}{first}"
    units = result.units
    if units:
        yield (
            "directions of change",
            f"{units.on_to_off:.2%} on to off, {units.off_to_on:.2%} off to on, {units.n_samples:,} samples",
        )


def _configuration(result: CellResult) -> Pairs:
    values = {name: value for name, value in values_of(result.cell).items() if value is not None}
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, tuple) else f"{value}") for name, value in values.items()
    ]


def _checks(result: CellResult) -> Iterator[tuple[str, str]]:
    checks = result.checks
    yield "looked at", f"{checks.n_samples} samples; bounds: all of them"
    yield "deterministic", _yes(checks.deterministic)
    yield "within bounds", _yes(checks.within_bounds)
    yield "batch invariance", f"{checks.batch_invariance:.1e} of the largest logit"
    yield "gradient exactly 0", f"{checks.zero_gradient_share:.2%} of its components"
    if checks.saturated_occupancies is not None:
        yield "saturated occupancies", f"{checks.saturated_occupancies:.2%}"
    if checks.units:
        yield "constant units", f"{checks.constant_units} of {checks.units}"
    if checks.masking_samples:
        once, twice = (
            "-" if loss is None else f"{loss:.3f}"
            for loss in (checks.loss_of_the_steps, checks.loss_of_twice_the_steps)
        )
        yield "loss, of twice the steps", f"{once}, {twice} over {checks.masking_samples} samples"
    if checks.accuracy_at_large_eps is not None:
        yield (
            "accuracy at large eps",
            f"{checks.accuracy_at_large_eps:.2%} at {true_text(result.cell, checks.large_eps or 0)}",
        )
    for index, caveat in enumerate(caveats(result) or ["none"]):
        yield "" if index else "suspicious", caveat


def _provenance(result: CellResult) -> Iterator[tuple[str, str]]:
    yield "fingerprint", result.fingerprint
    yield "weights", f"sha256 {result.checkpoint_sha256}"
    yield "samples", f"sha256 {result.data_sha256} (of their ids)"
    yield "content", f"sha256 {result.content_sha256} (of the samples)"
    yield from (("source", f"sha256 {sha256} ({name})") for name, sha256 in result.sources.items())
    yield "source", result.git_commit or "no git checkout"
    yield "versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())
    folded = "batch norm folded" if result.folded else "batch norm not folded"
    yield "computed on", f"{result.device}, {result.precision}, {folded}" + f", {result.backend}" * bool(result.backend)
    if result.run:
        processes = f"{result.run.processes} process{'es' * (result.run.processes > 1)}"
        yield "run", f"{processes}, batches of {result.run.batch_size}, accelerator {result.run.accelerator}"
    yield "finished", when(result)
    yield "time", f"{clock(result.wall_time_s)} ({result.wall_time_s / max(result.n_attempts, 1):.3g} s an attack)"
    memory = [(result.peak_memory, "memory"), (result.peak_gpu_memory, "GPU memory")]
    peaks = ", ".join(f"{size / 2**30:.2f} GiB {what}" for size, what in memory if size is not None)
    if peaks:
        yield "at most", peaks


def _units(rows: pa.Table) -> Table:
    """Return, per unit, how often it was on before the attack and how often the attack flipped it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("unit", "on before", "on to off", "off to on", "changed"):
        table.add_column(name, justify="right")
    table.add_column("")
    before, off, on, positions = unit_sums(rows).astype(float) + 0.0
    shares = np.stack([before, off, on, off + on]) / np.maximum(positions, 1)
    largest = max(float(shares[3].max(initial=0)), 1e-12)
    for index, unit in enumerate(shares.T):
        table.add_row(str(index), *(f"{share:.2%}" for share in unit), "#" * round(BAR * float(unit[3]) / largest))
    return table


def _classes(result: CellResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class")
    for name in ("clean IoU", "IoU", "points"):
        table.add_column(name, justify="right")
    classes = result.classes
    for index, name in enumerate(classes.names if classes else ()):
        ious = (classes.clean_iou[index], classes.iou[index]) if classes else ()
        points = sum(classes.confusion[index]) if classes else 0
        table.add_row(name, *("-" if iou is None else f"{iou:.2%}" for iou in ious), f"{points:,}")
    return table


def _yes(value: bool) -> str:
    return "yes" if value else "NO"
