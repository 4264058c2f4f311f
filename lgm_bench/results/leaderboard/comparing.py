"""Differences between measured and expected numbers, and their table and sentences for the terminal."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.wording import counted, describe, values_of
from lgm_bench.results.leaderboard.board import (
    ROUNDING,
    Entry,
    Leaderboard,
    Measured,
    read_leaderboard,
    shipped_leaderboards,
)
from lgm_bench.tasks.base import task_named
from lgm_bench.tasks.metric import Metric

OK, CHANGED, MISSING, EXTRA = "ok", "changed", "missing", "extra"
OTHER_CHECKPOINT, OTHER_SAMPLES, OTHER_PRECISION = "other checkpoint", "other samples", "other precision"
SAME_SCENE = 0.002
"""Largest difference of a scene's mIoU, rounded to three digits, that is ignored."""
NEAR = 2
"""Most values in which a cell may differ from another to be named as its nearest."""
FIRST_SAMPLES, MOST_EXTRA = 5, 10
ROUNDING_DECIDES = "devices round differently, and rounding decides some signs of gradients"
WORDS = {"+": "withstands", "x": "falls", "-": "wrong without attack", "*": "wrong without attack, right after it"}


@dataclass(frozen=True)
class NumberCompared:
    """An expected number and the measured one; None if a side has none."""

    metric: Metric
    expected: float | None
    tolerance: float | None
    got: float | None

    @property
    def delta(self) -> float | None:
        """Measured minus expected number."""
        return None if self.expected is None or self.got is None else self.got - self.expected

    @property
    def verdict(self) -> str:
        """Either "ok" or the kind of change."""
        if self.delta is None:
            return OK if self.expected is self.got else "gone" if self.got is None else "new"
        if abs(self.delta) <= (self.tolerance or 0) + ROUNDING:
            return OK
        if not self.metric.stronger:
            return "higher" if self.delta > 0 else "lower"
        return "attack stronger" if self.delta * self.metric.stronger > 0 else "attack weaker"

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        values = {name: getattr(self, name) for name in ("expected", "tolerance", "got", "delta", "verdict")}
        return {"name": self.metric.name, **values}


@dataclass(frozen=True)
class CellCompared:
    """Expected and measured results of one cell.

    Attributes:
        cell: The cell.
        verdicts: Either "ok", "missing" or "extra", or all reasons why the cell needs attention.
        numbers: Numbers, if both sides have the cell.
        differing: Each sample that differs, with its name and how, in the order of the data set.
        devices: The devices that the leaderboard's and the compared results come from, where known.
        note: A remark, such as the nearest cell to one that is missing.
    """

    cell: Cell
    verdicts: tuple[str, ...]
    numbers: tuple[NumberCompared, ...] = ()
    differing: tuple[tuple[str, str], ...] = ()
    devices: tuple[str | None, str | None] = (None, None)
    note: str = ""

    @property
    def bad(self) -> bool:
        """Whether the cell needs attention."""
        return not set(self.verdicts) <= {OK, EXTRA}

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "cell": describe(self.cell),
            "verdicts": list(self.verdicts),
            "numbers": [number.as_json() for number in self.numbers],
            "differing_samples": [{"id": name, "how": how} for name, how in self.differing],
            "note": self.note,
        }


def compare(board: Leaderboard, measurements: Sequence[Measured], *, whole: bool = True) -> list[CellCompared]:
    """Compare each cell of a leaderboard with its measurement; measured cells that it lacks come last.

    Cells without measurement count as missing if `whole`, and are left out otherwise.
    """
    pairs = _pairs(board.cells, measurements)
    used = {id(measured) for _, measured in pairs if measured}
    extra = [measured for measured in measurements if id(measured) not in used]
    compared = []
    for entry, measured in pairs:
        if measured:
            compared.append(_compared(entry, measured))
        elif whole:
            note = _nearest(entry.cell, [other.entry.cell for other in extra], "measured instead")
            compared.append(CellCompared(entry.cell, (MISSING,), note=note))
    return compared + [CellCompared(measured.entry.cell, (EXTRA,)) for measured in extra]


def check_common(board: Leaderboard, measurements: Sequence[Measured]) -> None:
    """Check that there is something to compare.

    Raises:
        ResultError: None of the measured cells is in the leaderboard.
    """
    if _common(board, measurements):
        return
    ours = measurements[0].entry.cell
    near = _nearest(ours, [entry.cell for entry in board.cells], "there")
    several = len(measurements) > 1
    what = f"none of the {len(measurements)} measured cells is" if several else "the measured cell is not"
    raise ResultError(
        f"{what} in the leaderboard of {board.suite}{', such as' if several else ':'} {describe(ours)}"
        f"{'; ' * bool(near)}{near}; run the suite, or name another leaderboard"
    )


def shipped_for(measurements: Sequence[Measured]) -> Path:
    """Return the shipped leaderboard that has most of the measured cells.

    Raises:
        ResultError: No shipped leaderboard has any of them.
    """
    paths = shipped_leaderboards()
    counts = {path: _common(read_leaderboard(path), measurements) for path in paths.values()}
    if not any(counts.values()):
        raise ResultError(
            f"no shipped leaderboard ({', '.join(paths) or 'there is none'}) has a cell of these results, such as "
            f"{describe(measurements[0].entry.cell)}; name a file with --against"
        )
    return max(counts, key=lambda path: counts[path])


def _common(board: Leaderboard, measurements: Sequence[Measured]) -> int:
    cells = {entry.cell for entry in board.cells}
    return sum(measured.entry.cell in cells for measured in measurements)


def _pairs(entries: Sequence[Entry], measurements: Sequence[Measured]) -> list[tuple[Entry, Measured | None]]:
    """Return each entry with the measurement of its cell, preferably with the same weights and precision."""
    left, chosen = list(measurements), dict[int, Measured]()
    for with_other_weights in (False, True):
        for number, entry in enumerate(entries):
            for measured in left:
                fits = with_other_weights or _made_alike(entry, measured.entry)
                if number not in chosen and fits and measured.entry.cell == entry.cell:
                    chosen[number] = measured
                    left.remove(measured)
                    break
    return [(entry, chosen.get(number)) for number, entry in enumerate(entries)]


def _made_alike(entry: Entry, got: Entry) -> bool:
    return (entry.checkpoint_sha256, entry.precision) == (got.checkpoint_sha256, got.precision)


def _compared(entry: Entry, measured: Measured) -> CellCompared:
    got = measured.entry
    numbers = tuple(_numbers(entry, got))
    verdicts = [OTHER_CHECKPOINT] if entry.checkpoint_sha256 != got.checkpoint_sha256 else []
    same_samples = (entry.data_sha256, entry.n_samples) == (got.data_sha256, got.n_samples)
    verdicts += [] if same_samples else [OTHER_SAMPLES]
    verdicts += [OTHER_PRECISION] if entry.precision != got.precision else []
    verdicts += [CHANGED] if any(number.verdict != OK for number in numbers) else []
    differing = tuple(_differing(entry, measured)) if same_samples else ()
    note = "" if measured.rows else f"no rows in {measured.folder}, so that samples cannot be compared"
    devices = (entry.device, got.device)
    return CellCompared(entry.cell, tuple(verdicts) or (OK,), numbers, differing, devices, note)


def _numbers(entry: Entry, got: Entry) -> Iterator[NumberCompared]:
    for metric in task_named(entry.task).metrics:
        left, right = entry.numbers.get(metric.name), got.numbers.get(metric.name)
        if left or right:
            expects, tolerance = (left.expected, left.tolerance) if left else (None, None)
            yield NumberCompared(metric, expects, tolerance, right.expected if right else None)


def _differing(entry: Entry, measured: Measured) -> Iterator[tuple[str, str]]:
    got, task = measured.entry, task_named(entry.task)
    main = task.metric(task.main)
    labels = [task.metric(main.before).label, main.label]
    if entry.samples and got.samples:
        for name, before, after in zip(measured.rows, entry.samples, got.samples, strict=False):
            if before != after:
                yield name, f"was: {WORDS[before]}, is: {WORDS[after]}"
    for name, *both in zip(measured.rows, entry.scenes or (), got.scenes or (), strict=False):
        before_after = zip(labels, *both, strict=True)
        changes = [f"{what} was {_text(old)}, is {_text(new)}" for what, old, new in before_after if _differ(old, new)]
        if changes:
            yield name, "; ".join(changes)


def _differ(old: float | None, new: float | None) -> bool:
    return (old is None) != (new is None) if old is None or new is None else abs(old - new) > SAME_SCENE


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _nearest(cell: Cell, others: Sequence[Cell], where: str) -> str:
    """Return how the most similar cell differs, in words; empty if no cell is similar."""
    own, differences = values_of(cell), []
    for other in map(values_of, others):
        differences.append(
            [f"{name} is {other[name]} and not {value}" for name, value in own.items() if value != other[name]]
        )
    nearest = min(differences, key=len, default=[])
    return f"{where}: {', '.join(nearest)}" if differences and len(nearest) <= NEAR else ""


def as_table(compared: Sequence[CellCompared], source: str) -> Table:
    """Return a table in percent: one row per number of cells that need attention, one row for each other cell."""
    table = Table("cell", "number", box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
    table.title = f"Against {source}, in percent"
    for name in ("expected", "got", "delta", "tolerance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for result in compared:
        if result.verdicts != (EXTRA,):
            _add(table, result)
    return table


def _add(table: Table, result: CellCompared) -> None:
    name = describe(result.cell)
    if not result.bad:
        for number in [number for number in result.numbers if number.metric.stronger][:1] or result.numbers[:1]:
            table.add_row(
                name, *_texts(number), f"ok (all {len(result.numbers)} numbers)" if result.numbers[1:] else OK
            )
        return
    other = [verdict for verdict in result.verdicts if verdict != "changed"]
    if other:
        note = f" ({result.note})" * bool(result.note)
        table.add_row(name, "", "", "", "", "", f"{', '.join(other)}{note}", style="bold red")
        name = ""
    for number in result.numbers:
        table.add_row(name, *_texts(number), number.verdict, style="" if number.verdict == OK else "bold red")
        name = ""


def _texts(number: NumberCompared) -> tuple[str, ...]:
    delta = "–" if number.delta is None else f"{100 * number.delta:+.2f}"
    shares = (number.expected, number.got, number.tolerance)
    expected, got, tolerance = ("–" if value is None else f"{100 * value:.2f}" for value in shares)
    return number.metric.label, expected, got, delta, tolerance


def as_lines(compared: Sequence[CellCompared]) -> list[str]:
    """Return the lines below the table: first differing samples of cells that need attention, extra cells, counts."""
    lines = []
    for result in compared:
        if result.bad and result.differing:
            lines.append(f"{describe(result.cell)}: {counted(len(result.differing), 'sample')} differ, the first:")
            lines += [f"  {name} {how}" for name, how in result.differing[:FIRST_SAMPLES]]
        elif result.bad and result.numbers and result.note:
            lines.append(f"{describe(result.cell)}: {result.note}")
    extra = [describe(result.cell) for result in compared if result.verdicts == (EXTRA,)]
    if extra:
        more = f" and {len(extra) - MOST_EXTRA} more" if len(extra) > MOST_EXTRA else ""
        lines.append(f"not in the leaderboard, and not compared: {', '.join(extra[:MOST_EXTRA])}{more}")
    return [*lines, summary(compared)]


def summary(compared: Sequence[CellCompared]) -> str:
    """Return the outcome in a sentence."""
    expected = [result for result in compared if result.verdicts != (EXTRA,)]
    counts = Counter(verdict for result in expected for verdict in result.verdicts)
    parts = [f"{count} {verdict}" for verdict, count in counts.items()]
    flipped = [result for result in expected if result.differing and not result.bad]
    outcome = f"{counted(len(expected), 'cell')}: {', '.join(parts)}"
    if not flipped:
        return outcome
    flips = sum(len(result.differing) for result in flipped)
    differ = f"{counted(flips, 'sample')} {'differs' if flips == 1 else 'differ'}"
    return f"{outcome}; {differ} within the tolerances, {_why_samples_differ(flipped)}"


def _why_samples_differ(compared: Sequence[CellCompared]) -> str:
    """Return why samples differ within the tolerances, as far as the devices on both sides are known."""
    devices = {result.devices for result in compared}
    if all(None not in pair and pair[0] != pair[1] for pair in devices):
        pairs = ", ".join(sorted(f"{theirs} there and {ours} here" for theirs, ours in devices))
        return f"as is expected of different devices ({pairs}): {ROUNDING_DECIDES}"
    return f"perhaps because another processor, thread count or library measured them: {ROUNDING_DECIDES}"
