"""Making a leaderboard from the results of a whole suite, and the reasons to refuse."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lgm_bench import __version__
from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.suites import Planned
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.engine.finished import finished_results
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import describe
from lgm_bench.results.leaderboard.board import (
    ROUNDING,
    Entry,
    Leaderboard,
    Measured,
    Number,
    identity,
    measured,
    read_measured,
)
from lgm_bench.results.leaderboard.comparing import (
    EXTRA,
    MISSING,
    OTHER_CHECKPOINT,
    OTHER_PRECISION,
    OTHER_SAMPLES,
    compare,
)
from lgm_bench.results.reading import located

MOST_NAMED = 5
_OTHER = (OTHER_CHECKPOINT, OTHER_SAMPLES, OTHER_PRECISION)


def updated(
    old: Leaderboard | None, suite: str, planned: Sequence[Planned], results: Path, data_root: str | None = None
) -> tuple[Leaderboard, list[Measured]]:
    """Return the leaderboard from a suite's results, and the measured cells.

    Entries without a change are copied verbatim. Tolerances are kept as long as the number of samples is the same.
    `planned` has all cells of the suite; only optional ones may lack a result.

    Raises:
        ResultError: Cells are missing, limited, or measured by a source tree without a clean commit.
    """
    records = finished_results([plan.cell for plan in planned], results, data_root=data_root)
    unfinished = [plan.cell for plan in planned if plan.cell not in records and not plan.optional]
    if unfinished:
        raise ResultError(_refusal(suite, unfinished, results))
    unknown = [cell for cell, record in records.items() if not _is_of_a_commit(record)]
    if unknown:
        raise ResultError(
            f"{_count(unknown)} measured by a source tree with changes or without a git commit, or by several:\n"
            f"{_named(unknown)}\ncommit, and run the suite from a clean checkout into a folder of its own"
        )
    finished = {cell.result.fingerprint: cell for cell in located(records.values(), results)}
    measurements = {fingerprint: measured(cell) for fingerprint, cell in finished.items()}
    board = Leaderboard(suite=suite, version=__version__, cells=tuple(_kept(old, list(measurements.values()))))
    _check_distinct(board.cells)
    same = old is not None and (old.suite, old.cells) == (board.suite, board.cells)
    return (old if old is not None and same else board), list(measurements.values())


def changes(old: Leaderboard | None, measurements: Sequence[Measured]) -> list[str]:
    """Return one line per cell that differs from the present leaderboard."""
    if old is None:
        return []
    lines = []
    for result in compare(old, measurements):
        what = [verdict for verdict in result.verdicts if verdict in _OTHER]
        what += [
            f"{number.metric.name} {_percent(number.expected)} -> {_percent(number.got)}"
            for number in result.numbers
            if number.delta is None or abs(number.delta) > ROUNDING
        ]
        what += [f"{len(result.differing)} samples"] if result.differing else []
        word = {MISSING: "removed", EXTRA: "added"}.get(result.verdicts[0])
        if word or what:
            lines.append(f"{word or 'changed'}: {describe(result.cell)}{': ' * bool(what)}{', '.join(what)}")
    return lines


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.2f}"


def _kept(old: Leaderboard | None, measurements: Sequence[Measured]) -> Iterator[Entry]:
    before = {(entry.cell, entry.checkpoint_sha256): entry for entry in (old.cells if old else ())}
    for measurement in measurements:
        entry = measurement.entry
        known = before.get((entry.cell, entry.checkpoint_sha256))
        if entry.samples is None and entry.scenes is None:
            raise ResultError(f"no rows beside {measurement.folder}; delete its folder and run the suite again")
        if known is None or known.n_samples != entry.n_samples:
            yield entry
            continue
        entry = entry.model_copy(update={"numbers": _with_tolerances(entry.numbers, known.numbers)})
        origin = {"git_commit": known.git_commit, "device": known.device}
        yield known if entry.model_copy(update=origin) == known else entry


def _with_tolerances(numbers: Mapping[str, Number], known: Mapping[str, Number]) -> dict[str, Number]:
    return {
        name: number.model_copy(update={"tolerance": known[name].tolerance}) if name in known else number
        for name, number in numbers.items()
    }


def _is_of_a_commit(record: CellResult) -> bool:
    commit = record.git_commit
    return commit is not None and "-dirty" not in commit and ";" not in commit


def _check_distinct(entries: Sequence[Entry]) -> None:
    seen = set()
    for entry in entries:
        if (entry.cell, entry.checkpoint_sha256) in seen:
            raise ResultError(f"two cells are the same but for paths: {describe(entry.cell)}; leave one out")
        seen.add((entry.cell, entry.checkpoint_sha256))


def _refusal(suite: str, unfinished: Sequence[Cell], results: Path) -> str:
    """Return an error message with the reason for each cell without a result, as far as it is known."""
    cells = [measurement.entry.cell for measurement in read_measured(results)]
    limits = {_unlimited(cell): cell.data.limit for cell in cells}
    lines = []
    for cell in unfinished[:MOST_NAMED]:
        own = _unlimited(identity(resolved(cell)))
        why = "not finished"
        if own in limits and limits[own] != cell.data.limit:
            why = f"limit is {limits[own] or 'none'}, the suite's own {cell.data.limit or 'none'}"
        elif own in limits:
            why = "of another version, checkpoint, data set, precision or backend"
        lines.append(f"  {describe(cell)}: {why}")
    lines += [f"  ... and {len(unfinished) - MOST_NAMED} more"] if len(unfinished) > MOST_NAMED else []
    named = "\n".join(lines)
    return (
        f"suite {suite} is not whole in {results}; {_count(unfinished)} without a result that counts:\n{named}\n"
        "run the suite there without --limit"
    )


def _unlimited(cell: Cell) -> Cell:
    return cell.without("data.limit", "victim.mean", "victim.std")


def _count(cells: Sequence[Cell]) -> str:
    return f"{len(cells)} cell{'s are' if len(cells) > 1 else ' is'}"


def _named(cells: Sequence[Cell]) -> str:
    lines = [f"  {describe(cell)}" for cell in cells[:MOST_NAMED]]
    return "\n".join(lines + [f"  ... and {len(cells) - MOST_NAMED} more"] * (len(cells) > MOST_NAMED))
