"""Compare finished cells with the recorded rows, sample by sample.

`python tests/guard/compare.py results/mini` prints what differs and then exits with 1. A folder is named for its suite.

Elsewhere floating point numbers are rounded differently, so a little may differ: a gate or a class that is nearly a
tie falls the other way, and an iterative attack carries that on. The tolerances leave room for what differs between a
run with a processor's newest instructions and one with its oldest, in one thread. They are far below what a changed
attack, gradient or network does, which moves most losses of a cell and usually its verdicts too, as do 10 % more slope
and another seed.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from record import condensed_folders, read_recorded

CHANGED: dict[str, str] = {
    key: "images stay in [0, 1]; those of the protocol official, in which they were recorded, may leave it"
    for key in read_recorded()
    if key.startswith("mini | ") and key.split(" | ")[2] in ("fgsm", "bim")
}
"""By key, why a cell is expected to differ from the recorded one, or to be gone or new."""

VERDICT_COLUMNS = ("clean_prediction", "adversarial_prediction", "perturbed", "attacked", "success", "correct")
NUMBER_COLUMNS = ("distance", "clean_loss", "adversarial_loss", "voxels", "gflops")
COUNT_COLUMNS = ("on_before", "on_to_off", "off_to_on")
FEW = 10
"""Of so many rows, one may have another verdict, whatever share that is."""
ZERO = 1e-5
"""Difference of a number that counts as none."""


@dataclass(frozen=True)
class Tolerances:
    """How much of a cell may differ.

    Attributes:
        verdicts: Share of the rows with another verdict.
        near: How far a number may be off, relative.
        numbers: Share of the rows with a number further off.
        decisions: Share of the decisions of a kind.
        points: Share of a scene's points that are predicted differently.
        miou: How far a scene's mIoU may be off, after the attack and after any of its iterates.
    """

    verdicts: float
    near: float
    numbers: float
    decisions: float
    points: float = 0.0
    miou: float = 0.0


IMAGES = Tolerances(verdicts=0.01, near=1e-3, numbers=0.1, decisions=0.01)
POINTS = Tolerances(verdicts=0.01, near=5e-3, numbers=0.4, decisions=0.01, points=0.01, miou=0.01)
"""A point that changes its voxel by rounding changes the loss."""
LONG_RUN = Tolerances(verdicts=0.2, near=0.15, numbers=0.4, decisions=0.25, points=0.05, miou=0.08)
"""Of point clouds with `MANY` iterates or more: by then the points are elsewhere, so also which iterate was the best is
not compared, nor how a shape fares at each. The first `ALIKE` iterates are as of `POINTS`."""
MANY, ALIKE = 10, 4

Columns = dict[str, list]


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
    tolerances = _tolerances(old)
    scenes = old["confusion"][0] is not None
    verdicts = () if scenes else VERDICT_COLUMNS  # a scene neither falls nor survives as a whole
    if tolerances is not LONG_RUN:
        verdicts = (*verdicts, "iterate")
    lines = [_verdicts(name, old, new, tolerances) for name in verdicts]
    lines += [_numbers(name, old, new, tolerances) for name in NUMBER_COLUMNS]
    lines += [_counts(name, old, new, tolerances) for name in COUNT_COLUMNS]
    if scenes:
        lines += [_mious("clean_miou", old, new, POINTS.miou), _confusion(old, new, tolerances)]
        lines += [_mious(name, old, new, tolerances.miou) for name in ("miou", "history")]
    if tolerances is LONG_RUN:
        old, new = _beginning(old), _beginning(new)
    lines.append(_mious("history", old, new, POINTS.miou) if scenes else _verdicts("history", old, new, tolerances))
    return list(dict.fromkeys(line for line in lines if line))


def _beginning(rows: Columns) -> Columns:
    return rows | {"history": [row and row[:ALIKE] for row in rows["history"]]}


def _tolerances(rows: Columns) -> Tolerances:
    if rows["confusion"][0] is None and rows["iterate"][0] is None:
        return IMAGES
    return LONG_RUN if max(len(history or ()) for history in rows["history"]) >= MANY else POINTS


def _verdicts(name: str, old: Columns, new: Columns, tolerances: Tolerances) -> str:
    rows = [row for row, pair in enumerate(zip(old[name], new[name], strict=True)) if pair[0] != pair[1]]
    n = len(old[name])
    return _told(name, rows, max(int(tolerances.verdicts * n), 1 if n >= FEW else 0), old, new)


def _numbers(name: str, old: Columns, new: Columns, tolerances: Tolerances) -> str:
    near = np.isclose(_floats(new[name]), _floats(old[name]), rtol=tolerances.near, atol=ZERO, equal_nan=True)
    return _told(name, np.flatnonzero(~near).tolist(), int(tolerances.numbers * len(near)), old, new)


def _counts(name: str, old: Columns, new: Columns, tolerances: Tolerances) -> str:
    units = [[None if row is None else len(row) for row in rows[name]] for rows in (old, new)]
    if units[0] != units[1]:
        return f"{name} is of other units: {units[0][0]} in the first row became {units[1][0]}"
    first, second = (np.concatenate([np.zeros(0), *(row or () for row in rows[name])]) for rows in (old, new))
    off, total = int(np.abs(first - second).sum()), int(first.sum())
    allowed = int(tolerances.decisions * total) + 1
    return f"{name}: {off} decisions differ of {total} (at most {allowed} may)" if off > allowed else ""


def _mious(name: str, old: Columns, new: Columns, tolerance: float) -> str:
    pairs = enumerate(zip(old[name], new[name], strict=True))
    return _told(name, [row for row, pair in pairs if not _close(*pair, tolerance)], 0, old, new)


def _close(first: float | list[float] | None, second: float | list[float] | None, tolerance: float) -> bool:
    if first is None or second is None:
        return first is second
    return np.shape(first) == np.shape(second) and np.allclose(first, second, rtol=0, atol=tolerance, equal_nan=True)


def _confusion(old: Columns, new: Columns, tolerances: Tolerances) -> str:
    pairs = zip(old["confusion"], new["confusion"], strict=True)
    moved = [np.abs(np.subtract(second, first)).sum() / 2 / max(sum(first), 1) for first, second in pairs]
    most = tolerances.points
    off = [f"{share:.1%} in {name}" for name, share in zip(old["id"], moved, strict=True) if share > most]
    return f"the predictions of points differ: {', '.join(off)} (at most {most:.0%} may)" if off else ""


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
