"""Results as one tidy pandas table with a line per finished cell; tables, statistics and files are views of it."""

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lgm_bench import __version__
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.cells.kinds import inputs_of
from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.cells.units import eps_number, eps_text
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import RESULT, ROWS, CellStore
from lgm_bench.evaluation.wording import describe_gradient, describe_setting, eps_label
from lgm_bench.files import write_whole
from lgm_bench.results.caveats import caveats
from lgm_bench.results.reading import Line, read_results, read_rows

log = logging.getLogger(__name__)

CACHE = ".frame.json"
TARGETED = "-targeted"
OF_THE_CELL = ("victim", "data", "attack", "eps", "eps_label", "gradient", "slope", "fingerprint")
"""Columns before those of the rows themselves, see `rows`."""
RECORDED = (
    *("task", "n_samples", "n_attempts", "n_attacked", "fingerprint", "checkpoint_sha256", "data_sha256"),
    *("content_sha256", "sources", "precision", "backend", "folded", "device", "git_commit", "wall_time_s"),
    *("peak_memory", "peak_gpu_memory"),
)
"""Columns with the same names as in the record, see `CellResult`."""


def results(path: str | Path) -> pd.DataFrame:
    """Return the finished cells of a results folder, one line each.

    Columns:
        - what was run: `victim`, `data`, `attack`, `eps` (`eps_label` has the unit), `steps`, `gradient`, `slope`, ...,
          in words `setting` and `arm` (the gradient with its slope), and `baseline`, with which the arm is compared;
        - every figure under its name in the record: shares, accuracies and mIoUs as fractions in [0, 1], `kvoxels` in
          thousands, `gflops` in GFLOPs, `iou_wall` and `clean_iou_wall` for the class "wall"; NaN if a cell has none;
        - the paper's number for each figure (`paper_accuracy`, ...), and its position in the paper's tables (`table`,
          `row`, `variant`, `paper_victim`);
        - the number of samples, `caveats`, and the origin (`fingerprint`, `folder`, `date`, hashes, machine, seconds).

    The table is cached in the folder until a record is added or changes.

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
    lines = _read_cache(path / CACHE, state) if records else None
    if lines is None:
        finished = read_results(path)
        lines = [_line(cell.result) | {"folder": cell.folder.name} for cell in finished]
        if len(finished) == len(records):  # else some are damaged, and the log should name them every time
            _write_cache(path / CACHE, state, lines)
    frame = pd.DataFrame(lines)
    frame["date"] = pd.to_datetime(frame["date"], format="ISO8601", utc=True)
    cell_folder = path if path.is_dir() else path.parent
    frame["folder"] = [str(path / name) for name in frame["folder"]] if records else str(cell_folder)
    return frame


def rows(cells: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Return the rows of some cells, one line per sample, or in targeted cells per sample and target.

    Columns: `OF_THE_CELL`, then those of `rows.parquet`; NaN if a cell lacks a column.

    Args:
        cells: Lines of `results`, or a results folder for all of its cells.

    Raises:
        ResultError: There are no finished cells, or rows are missing, damaged, or do not match the record.
    """
    frame = cells if isinstance(cells, pd.DataFrame) else results(cells)
    parts = []
    for line in frame.to_dict("records"):
        part = read_rows(Path(line["folder"]), line["fingerprint"], line["data_sha256"]).to_pandas(use_threads=False)
        parts.append(part.assign(**{name: line[name] for name in OF_THE_CELL})[[*OF_THE_CELL, *part.columns]])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(OF_THE_CELL))


def frame_of(cells: Iterable[CellResult], out: Path | None = None) -> pd.DataFrame:
    """Return results as a table, see `results`; with their folders if the results folder `out` is given."""
    lines = [_line(result) for result in cells]
    for line in lines if out else ():
        line["folder"] = str(CellStore(Path(out or ""), line["title"], line["fingerprint"]).folder)
    return pd.DataFrame(lines)


def lines_of(frame: pd.DataFrame) -> list[Line]:
    """Return the lines of a table, with None for missing values."""
    lines: list[Line] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return lines


def table_of(cell: Cell) -> str:
    """Return the name of the table that shows a cell: the paper's, or that of its data set; used in file names."""
    return cell.paper[0] if cell.paper else f"results-{re.sub(r'[^A-Za-z0-9._-]+', '-', cell.data.name)}"


def paper_numbers(result: CellResult) -> dict[str, float]:
    """Return the paper's numbers for a result by name of the figure, with shares in percent."""
    place = result.cell.paper
    table = paper_tables().get(place[0]) if place else None
    if place is None or table is None:
        return {}
    numbers = {metric.name: table.number(place[1], place[2], place[3], metric.name) for metric in result.kind.metrics}
    return {name: number for name, number in numbers.items() if number is not None}


def _line(result: CellResult) -> Line:
    cell, kind = result.cell, result.kind
    flat = {name: ", ".join(map(str, v)) if isinstance(v, tuple) else v for name, v in cell.flat().items()}
    table, row, paper_victim, variant = cell.paper or (table_of(cell), _row_label(cell), None, _variant(cell))
    printed = {
        f"paper_{name}": number if kind.metric(name).unit else number / 100
        for name, number in paper_numbers(result).items()
    }
    return {
        **{name: flat.pop(name) for name in ("victim", "data", "attack", "eps")},
        "eps_label": eps_label(result),
        **{name: flat.pop(name) for name in ("gradient", "slope")},
        **result.metrics,
        **printed,
        **_classes(result),
        **{name: value for name, value in flat.items() if name != "paper"},
        "title": cell.title,
        "setting": describe_setting(cell),
        "arm": describe_gradient(cell),
        **{"table": table, "row": row, "variant": variant, "paper_victim": paper_victim},
        **{name: getattr(result, name) for name in RECORDED},
        "caveats": caveats(result),
        "version": result.versions.get("lgm-bench"),
        "date": result.finished_at,
    }


def _classes(result: CellResult) -> dict[str, float | None]:
    """Return the IoU of every class before and after the attack."""
    classes = result.classes
    if classes is None:
        return {}
    sides = (("clean_iou", classes.clean_iou), ("iou", classes.iou))
    return {f"{side}_{name}": iou for side, ious in sides for name, iou in zip(classes.names, ious, strict=True)}


def _row_label(cell: Cell) -> str:
    """Return the row of a cell in the table of its data set.

    >>> from lgm_bench.evaluation.cells.cell import AttackSpec, DataSpec, GradientSpec, VictimSpec
    >>> attack, gradient = AttackSpec("bim", 8 / 255, valid_pixels=0.05), GradientSpec("soft")
    >>> _row_label(Cell(VictimSpec("dynconv8-mini"), DataSpec("digits"), attack, gradient))
    'bim 5% pixels eps=8/255'
    """
    pixels = "" if cell.attack.valid_pixels == 1 else f" {cell.attack.valid_pixels:.3%} pixels".replace(".000", "")
    return f"{cell.attack.name}{pixels} eps={eps_number(cell) if inputs_of(cell.attack.name).unit else eps_text(cell)}"


def _variant(cell: Cell) -> str:
    if cell.gradient.name == NO_GRADIENT:
        return cell.attack.name
    return cell.gradient.name + TARGETED * cell.attack.targeted


def _state(records: Iterable[Path]) -> list[Any]:
    """Return a value that changes as soon as one of the records changes."""
    files = [path.with_name(name) for path in records for name in (RESULT, ROWS)]
    states = [(path, path.stat()) for path in files if path.exists()]
    return [__version__, *([path.parent.name, state.st_mtime_ns, state.st_size] for path, state in states)]


def _read_cache(path: Path, state: list[Any]) -> list[Line] | None:
    try:
        cached = json.loads(path.read_bytes())
    except (OSError, ValueError):  # missing or damaged, so it is written again
        return None
    lines: list[Line] | None = cached["lines"] if cached["state"] == state else None
    return lines


def _write_cache(path: Path, state: list[Any], lines: list[Line]) -> None:
    try:
        write_whole(path, json.dumps({"state": state, "lines": lines}).encode())
    except OSError as error:  # a read-only folder has no cache
        log.debug("%s is not written: %s", path, error)
