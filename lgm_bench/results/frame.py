"""Results as one tidy table for notebooks: a line for every finished cell, and for every sample of it."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lgm_bench import __version__
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, ROWS
from lgm_bench.evaluation.wording import eps_label
from lgm_bench.files import write_whole
from lgm_bench.results.reading import read_results, read_rows
from lgm_bench.results.tables.tables import paper_numbers

log = logging.getLogger(__name__)

CACHE = ".results.json"
OF_THE_CELL = ("victim", "data", "attack", "eps", "eps_label", "gradient", "slope", "fingerprint")
"""Columns that say which cell a row is of."""
PLAIN = ("n_samples", "n_attempts", "n_attacked", "fingerprint", "checkpoint_sha256", "data_sha256",
         "content_sha256", "precision", "backend", "folded", "device", "git_commit", "wall_time_s", "peak_memory",
         "peak_gpu_memory")  # fmt: skip
"""Columns that are called as in the record, see `CellResult`."""


def results(path: str | Path) -> pd.DataFrame:
    """Return the finished cells of a results folder, a line each.

    Columns: what was run under its own name (`victim`, `data`, `attack`, `eps`, `steps`, `gradient`, `slope`, ...;
    `eps_label` has the unit), every figure under the name that it has in the record (shares, accuracies and mIoUs as
    fractions in [0, 1], `kvoxels` in thousands, `gflops` in GFLOPs; NaN where a cell has none), what the paper prints
    for it (`paper_accuracy`, ...), how many samples it is of, and where it comes from (`fingerprint`, `folder`, `date`,
    hashes, machine, seconds).

    The table is kept beside the results, and made again as soon as a record is new or has changed.

    Args:
        path: A results folder, the folder of one cell, or its `result.json`.

    Raises:
        ResultError: There are no finished cells.

    >>> frame = results("results/mini")  # doctest: +SKIP
    >>> frame.pivot_table("accuracy", ["victim", "attack", "eps"], "gradient")  # doctest: +SKIP
    """
    path = Path(path)
    records = sorted(path.glob(f"*/{RESULT}"))
    state = _state(records)
    lines = _kept(path / CACHE, state) if records else None
    if lines is None:
        found = read_results(path)
        lines = [_line(one.result) | {"folder": one.folder.name} for one in found]
        if len(found) == len(records):  # else some are damaged, which is worth a word each time
            _keep(path / CACHE, state, lines)
    frame = pd.DataFrame(lines)
    frame["date"] = pd.to_datetime(frame["date"], format="ISO8601", utc=True)
    frame["folder"] = (
        [str(path / name) for name in frame["folder"]] if records else str(path if path.is_dir() else path.parent)
    )
    return frame


def rows(cells: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Return every row of some cells, a line each: a sample, or in targeted cells a sample and a target.

    Columns: those of `rows.parquet`, behind those that say which cell the row is of; NaN where a cell has none.

    Args:
        cells: Lines of `results`, or a results folder, of which all cells are meant.

    Raises:
        ResultError: There are no finished cells, or rows are missing, damaged, or of other samples than the record.
    """
    frame = cells if isinstance(cells, pd.DataFrame) else results(cells)
    parts = []
    for line in frame.to_dict("records"):
        part = read_rows(Path(line["folder"]), line["fingerprint"], line["data_sha256"]).to_pandas()
        parts.append(part.assign(**{name: line[name] for name in OF_THE_CELL})[[*OF_THE_CELL, *part.columns]])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(OF_THE_CELL))


def frame_of(cells: Iterable[CellResult]) -> pd.DataFrame:
    """Return results as a table, see `results`; without where they lie."""
    return pd.DataFrame([_line(result) for result in cells])


def _line(result: CellResult) -> dict[str, Any]:
    cell = {name: _plain(value) for name, value in result.cell.flat().items()}
    values = {name: getattr(result, name) for name in PLAIN}
    return {
        **{name: cell.pop(name) for name in ("victim", "data", "attack", "eps")},
        "eps_label": eps_label(result),
        **{name: cell.pop(name) for name in ("gradient", "slope")},
        **result.metrics,
        **_printed(result),
        **cell,
        **values,
        "version": result.versions.get("lgm-bench"),
        "date": result.finished_at,
    }


def _printed(result: CellResult) -> dict[str, float]:
    """Return what the paper prints for a result, shares as fractions."""
    kind = result.kind
    return {
        f"paper_{name}": number if kind.metric(name).unit else number / 100
        for name, number in paper_numbers(result).items()
    }


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value


def _state(records: Iterable[Path]) -> list[Any]:
    """Return what changes as soon as one of the records does."""
    files = [path.with_name(name) for path in records for name in (RESULT, ROWS)]
    states = [(path, path.stat()) for path in files if path.exists()]
    return [__version__, *([path.parent.name, state.st_mtime_ns, state.st_size] for path, state in states)]


def _kept(path: Path, state: list[Any]) -> list[dict[str, Any]] | None:
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):  # not there, or damaged: it is made again
        return None
    lines: list[dict[str, Any]] | None = kept["lines"] if kept["state"] == state else None
    return lines


def _keep(path: Path, state: list[Any], lines: list[dict[str, Any]]) -> None:
    try:
        write_whole(path, json.dumps({"state": state, "lines": lines}).encode())
    except OSError as error:  # a folder that may only be read has no copy
        log.debug("%s is not kept: %s", path, error)
