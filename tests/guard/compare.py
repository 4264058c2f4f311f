"""Compare finished cells with the recorded rows, sample by sample.

`python tests/guard/compare.py results/mini` prints what differs and then exits with 1. A folder is named for its suite.

Elsewhere floating point numbers are rounded differently, so a little may differ: a gate or a class that is nearly a
tie falls the other way, and an iterative attack carries that on. The tolerances leave room for that and are far below
what a changed attack, gradient or network does: that moves most losses of a cell, and usually its verdicts too.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from record import condensed_folders, read_recorded

CHANGED: dict[str, str] = {}
"""By key, why a cell is expected to differ from the recorded one, or to be gone or new."""

VERDICT_COLUMNS = (
    "clean_prediction",
    "adversarial_prediction",
    "perturbed",
    "attacked",
    "success",
    "correct",
    "iterate",
)
NUMBER_COLUMNS = ("distance", "clean_loss", "adversarial_loss", "voxels", "gflops")
COUNT_COLUMNS = ("on_before", "on_to_off", "off_to_on")

VERDICTS, FEW = 0.01, 10
"""Share of a cell's rows whose verdict may differ; of `FEW` or more rows it is one at least."""
NEAR, ZERO = 1e-3, 1e-5
"""How far a number may be off, relative or absolute, in all rows of a cell but a share of them, which is `NUMBERS`."""
NUMBERS = 0.1
NEAR_OF_POINTS, NUMBERS_OF_POINTS = 5e-3, 0.4
"""The same of point clouds: a point that changes its voxel by rounding changes the loss."""
COUNTS = 0.01
"""Share of a cell's decisions of a kind that may differ, and of a scene's points in its confusion matrix."""
MIOU = 0.01
"""Of a scene."""


def compare_folder(path: Path | str) -> list[str]:
    """Return what differs between a results folder and what is recorded of its suite, a line each; nothing is good."""
    return compare_folders([Path(path)])


def compare_folders(paths: Sequence[Path]) -> list[str]:
    """Return what differs between some results folders and what is recorded of their suites.

    A cell in `CHANGED` has to differ.
    """
    suites = {path.name for path in paths}
    recorded = {key: rows for key, rows in read_recorded().items() if key.split(" | ")[0] in suites}
    found = condensed_folders(paths)
    lines = []
    for key in sorted(recorded.keys() | found.keys()):
        if key not in found:
            differing = ["it is recorded, but the run has no such cell"]
        elif key not in recorded:
            differing = ["the run has this cell, but it is not recorded"]
        else:
            differing = differences(recorded[key], found[key])
        if key in CHANGED and not differing:
            differing = [f"it is as recorded, but should differ: {CHANGED[key]}"]
        elif key in CHANGED:
            differing = []
        lines += [f"{key}: {line}" for line in differing]
    for suite in sorted(suites - {key.split(" | ")[0] for key in recorded}):
        lines.append(f"{suite}: nothing is recorded of a suite of this name")
    return lines


def differences(recorded: pa.Table, found: pa.Table) -> list[str]:
    """Return in what the rows of a cell differ from the recorded ones by more than the tolerances, a line each."""
    old, new = recorded.to_pydict(), found.to_pydict()
    if old["id"] != new["id"] or old["target"] != new["target"]:
        return [f"its {len(found)} rows are of other samples or targets than the {len(recorded)} recorded ones"]
    scenes = any(row is not None for row in old["confusion"])
    verdicts = ("iterate",) if scenes else VERDICT_COLUMNS  # a scene neither falls nor survives as a whole
    lines = [_verdicts(name, old, new) for name in verdicts]
    lines += [_numbers(name, old, new) for name in NUMBER_COLUMNS]
    lines += [_counts(name, old, new) for name in COUNT_COLUMNS]
    if scenes:
        lines += [_mious(name, old, new) for name in ("clean_miou", "miou", "history")]
        lines.append(_confusion(old, new))
    else:
        lines.append(_verdicts("history", old, new))
    return [line for line in lines if line]


Columns = dict[str, list]


def _verdicts(name: str, old: Columns, new: Columns) -> str:
    rows = [row for row, pair in enumerate(zip(old[name], new[name], strict=True)) if pair[0] != pair[1]]
    n = len(old[name])
    allowed = max(int(VERDICTS * n), 1 if n >= FEW else 0)
    return _told(name, rows, allowed, old, new)


def _numbers(name: str, old: Columns, new: Columns) -> str:
    first, second = _floats(old[name]), _floats(new[name])
    points = old["voxels"][0] is not None
    near, share = (NEAR_OF_POINTS, NUMBERS_OF_POINTS) if points else (NEAR, NUMBERS)
    off = ~np.isclose(second, first, rtol=near, atol=ZERO, equal_nan=True)
    return _told(name, np.flatnonzero(off).tolist(), int(share * len(off)), old, new)


def _counts(name: str, old: Columns, new: Columns) -> str:
    present = [row is not None for row in old[name]]
    if present != [row is not None for row in new[name]]:
        return f"{name} is there in {sum(present)} recorded rows only" if any(present) else f"{name} is new"
    first = np.concatenate([np.zeros(0), *(row for row in old[name] if row is not None)])
    second = np.concatenate([np.zeros(0), *(row for row in new[name] if row is not None)])
    if len(first) != len(second):
        return f"{name} is of another number of units"
    off = int(np.abs(first - second).sum())
    allowed = int(COUNTS * first.sum()) + 1
    return f"{name}: {off} decisions differ of {int(first.sum())} (at most {allowed} may)" if off > allowed else ""


def _mious(name: str, old: Columns, new: Columns) -> str:
    pairs = list(zip(old[name], new[name], strict=True))
    off = [row for row, (first, second) in enumerate(pairs) if not _close(first, second)]
    return _told(name, off, 0, old, new)


def _close(first: float | list[float] | None, second: float | list[float] | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.shape(first) == np.shape(second) and np.allclose(first, second, rtol=0, atol=MIOU, equal_nan=True)


def _confusion(old: Columns, new: Columns) -> str:
    pairs = list(zip(old["confusion"], new["confusion"], strict=True))
    moved = [np.abs(np.subtract(second, first)).sum() / 2 / max(sum(first), 1) for first, second in pairs]
    off = [f"{share:.1%} in {name}" for name, share in zip(old["id"], moved, strict=True) if share > COUNTS]
    return f"the predictions of points differ: {', '.join(off)} (at most {COUNTS:.0%} may)" if off else ""


def _told(name: str, rows: list[int], allowed: int, old: Columns, new: Columns) -> str:
    """Return a line about the rows that differ, if there are more than may."""
    if len(rows) <= allowed:
        return ""
    row = rows[0]
    sample = old["id"][row] if old["target"][row] is None else f"{old['id'][row]} with target {old['target'][row]}"
    return (
        f"{name} differs in {len(rows)} of {len(old['id'])} rows (at most {allowed} may), first {sample}: "
        f"{old[name][row]} became {new[name][row]}"
    )


def _floats(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def main(paths: Sequence[Path]) -> int:
    """Compare results folders; print what differs, and return the exit code."""
    lines = compare_folders(paths)
    for line in lines:
        print(line)  # noqa: T201
    if not lines:
        print(f"every sample in {paths[0]}{' and so on' * (len(paths) > 1)} is as recorded")  # noqa: T201
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
