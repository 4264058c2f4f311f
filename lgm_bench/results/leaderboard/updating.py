"""Making a leaderboard of a whole suite's results, and the reasons to refuse."""

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
    """Return the leaderboard that a suite's results make, and what was measured.

    Entries that stay as they are stay word for word, and so do their tolerances as long as the number of samples does.

    Args:
        old: The present leaderboard.
        suite: Name of the suite.
        planned: All of its cells; optional ones may be missing.
        results: Results folder.
        data_root: As for a run.

    Raises:
        ResultError: Cells are missing, limited, or measured by a source tree that nobody can get again.
    """
    records = finished_results([one.cell for one in planned], results, data_root=data_root)
    unfinished = [one.cell for one in planned if one.cell not in records and not one.optional]
    if unfinished:
        raise ResultError(_refusal(suite, unfinished, results))
    unknown = [cell for cell, record in records.items() if not _is_of_a_commit(record)]
    if unknown:
        raise ResultError(
            f"{_count(unknown)} measured by a source tree with changes or without a git commit, or by several:\n"
            f"{_named(unknown)}\ncommit, and run the suite from a clean checkout into a folder of its own"
        )
    finished = {one.result.fingerprint: one for one in located(records.values(), results)}
    found = {fingerprint: measured(one) for fingerprint, one in finished.items()}
    board = Leaderboard(suite=suite, version=__version__, cells=tuple(_kept(old, list(found.values()))))
    _check_distinct(board.cells)
    same = old is not None and (old.suite, old.cells) == (board.suite, board.cells)
    return (old if old is not None and same else board), list(found.values())


def changes(old: Leaderboard | None, found: Sequence[Measured]) -> list[str]:
    """Return a line per cell that differs from the present leaderboard."""
    if old is None:
        return []
    lines = []
    for one in compare(old, found):
        what = [verdict for verdict in one.verdicts if verdict in _OTHER]
        what += [
            f"{number.metric.name} {_percent(number.expected)} -> {_percent(number.got)}"
            for number in one.numbers
            if number.delta is None or abs(number.delta) > ROUNDING
        ]
        what += [f"{len(one.differing)} samples"] if one.differing else []
        word = {MISSING: "removed", EXTRA: "added"}.get(one.verdicts[0])
        if word or what:
            lines.append(f"{word or 'changed'}: {describe(one.cell)}{': ' * bool(what)}{', '.join(what)}")
    return lines


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.2f}"


def _kept(old: Leaderboard | None, found: Sequence[Measured]) -> Iterator[Entry]:
    before = {(entry.cell, entry.checkpoint_sha256): entry for entry in (old.cells if old else ())}
    for one in found:
        known = before.get((one.entry.cell, one.entry.checkpoint_sha256))
        if one.entry.samples is None and one.entry.scenes is None:
            raise ResultError(f"no rows beside {one.folder}; delete its folder and run the suite again")
        if known is None or known.n_samples != one.entry.n_samples:
            yield one.entry
            continue
        entry = one.entry.model_copy(update={"numbers": _with_tolerances(one.entry.numbers, known.numbers)})
        yield known if entry.model_copy(update={"git_commit": known.git_commit}) == known else entry


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
    """Return an error message with the reason per cell without a result, as far as records tell it."""
    there = {_unlimited(one.entry.cell): one.entry.cell.data.limit for one in read_measured(results)}
    lines = []
    for cell in unfinished[:MOST_NAMED]:
        own = _unlimited(identity(resolved(cell)))
        why = "not finished"
        if own in there and there[own] != cell.data.limit:
            why = f"limit is {there[own] or 'none'}, the suite's own {cell.data.limit or 'none'}"
        elif own in there:
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
