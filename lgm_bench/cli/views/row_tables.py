"""Rows of a cell for a reader: as a table, as CSV, and the few that are worth a look."""

import csv
import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.table import Table

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.tasks.base import task_of

FALLEN, SURVIVED = "fallen", "survived"
KINDS = (FALLEN, SURVIVED)
FEW = 5
SHORT = {
    "clean_prediction": "clean",
    "adversarial_prediction": "adversarial",
    "clean_loss": "loss",
    "adversarial_loss": "loss after",
    "changed_share": "changed",
    "clean_miou": "clean mIoU",
    "miou": "mIoU",
    "n_points": "points",
}
PREDICTIONS = ("label", "target", "clean_prediction", "adversarial_prediction", "success")
LOSSES = ("distance", "clean_loss", "adversarial_loss", "changed_share")
SHOWN = ("id", *PREDICTIONS, "n_points", "clean_miou", "miou", *LOSSES)
"""Columns for a table, as far as a task has them."""
SHARES = ("changed_share", "clean_miou", "miou")


def chosen_rows(rows: pa.Table, kind: str | None) -> pa.Table:
    """Return the rows of the attacked samples that have fallen or survived; all rows without a kind.

    Raises:
        UnknownNameError: There is no such kind.
        ConfigError: The rows are of scenes, which do neither.
    """
    if kind is None:
        return rows
    if kind not in KINDS:
        raise UnknownNameError("kind of samples", kind, KINDS)
    if task_of(rows).labels_points:
        raise ConfigError("scenes neither fall nor survive as a whole; leave out --samples, and see their mIoU")
    fallen = rows.column("success")
    return rows.filter(fallen if kind == FALLEN else pc.and_(rows.column("attacked"), pc.invert(fallen)))


def rows_table(rows: pa.Table) -> Table:
    """Return the rows as a table of their main columns, a line an attack."""
    names = [name for name in SHOWN if name in rows.column_names]
    names = [name for name in names if rows.column(name).null_count < max(rows.num_rows, 1)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(SHORT.get(name, name), justify="left" if name == "id" else "right", no_wrap=True)
    for row in rows.select(names).to_pylist():
        table.add_row(*(_text(name, row[name]) for name in names))
    return table


def rows_csv(rows: pa.Table) -> str:
    """Return all columns of the rows as CSV; the numbers of a list are separated by spaces."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(rows.column_names)
    for row in rows.to_pylist():
        values = (" ".join(map(str, value)) if isinstance(value, list) else value for value in row.values())
        writer.writerow(["" if value is None else value for value in values])
    return stream.getvalue()


def notable_samples(result: CellResult, rows: pa.Table) -> Iterator[tuple[str, str]]:
    """Yield the first samples that fell, the last to fall, those nearest to it, or the scenes that lost most."""
    main = result.main
    if result.kind.labels_points:
        drops = sorted(rows.to_pylist(), key=lambda row: (row[main.name] or 0.0) - (row[main.before] or 0.0))
        named = (f"{row['id']} ({_text('miou', row[main.before])} -> {_text('miou', row[main.name])})" for row in drops)
        yield f"largest loss of {main.label}", ", ".join(list(named)[:FEW])
        return
    fallen, survived = (chosen_rows(rows, kind) for kind in KINDS)
    if fallen.num_rows:
        yield "first fallen", ", ".join(_fall(row) for row in fallen.slice(0, FEW).to_pylist())
    slow = sorted(_iterations(fallen), key=lambda pair: -pair[1])[:FEW]
    if slow:
        yield "slowest to fall", ", ".join(f"{name} (iteration {count})" for name, count in slow)
    if survived.num_rows:
        order = np.argsort(-survived.column("adversarial_loss").to_numpy(), kind="stable")[:FEW]
        near = survived.take(pa.array(order)).to_pylist()
        listed = (f"{row['id']} (loss {row['clean_loss']:.2f} -> {row['adversarial_loss']:.2f})" for row in near)
        yield "nearest to falling", ", ".join(listed)
    wrong = rows.filter(pc.not_equal(rows.column("clean_prediction"), rows.column("label")))
    ids = list(dict.fromkeys(wrong.column("id").to_pylist()))
    if ids:
        more = f", and {len(ids) - FEW} more" if len(ids) > FEW else ""
        yield "wrong before the attack", ", ".join(ids[:FEW]) + more


def _iterations(fallen: pa.Table) -> Iterator[tuple[str, int]]:
    """Yield (sample, first iterate that fools the network), where the run has kept every iterate's verdict."""
    if len(fallen):
        for name, history in zip(*(fallen.column(key).to_pylist() for key in ("id", "history")), strict=True):
            if history and 0.0 in history[1:]:
                yield name, history.index(0.0, 1)


def _fall(row: dict[str, object]) -> str:
    target = "" if row["target"] is None else f", target {row['target']}"
    return f"{row['id']} ({row['label']} -> {row['adversarial_prediction']}{target})"


def _text(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2%}" if name in SHARES else f"{value:.4g}"
    return str(value)
