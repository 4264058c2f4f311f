"""The rows of a cell as a table or as CSV, and the few samples that are worth a look."""

import csv
import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from rich import box
from rich.table import Table

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.tasks.base import task_of
from lgm_bench.tasks.images import COMPUTE_COLUMNS
from lgm_bench.tasks.metric import Metric

FALLEN, SURVIVED = "fallen", "survived"
KINDS = (FALLEN, SURVIVED)
FEW = 5
MEASURED = ("distance", "clean_loss", "adversarial_loss", "changed_share")
"""Columns that every task has; they follow the columns of the task itself."""


def chosen_rows(rows: pa.Table, kind: str | None) -> pa.Table:
    """Return the rows of the attacked samples that fell, or of those that survived; all rows if `kind` is None.

    Raises:
        UnknownNameError: There is no such kind.
        ConfigError: The samples, such as scenes, cannot fall as a whole.
    """
    if kind is None:
        return rows
    if kind not in KINDS:
        raise UnknownNameError("kind of samples", kind, KINDS)
    task, fall = task_of(rows), _fall(rows)
    if fall is None:
        label = task.metric(task.main).label
        raise ConfigError(
            f"{task.sample}s do not fall or survive as a whole; leave out --samples, and see their {label}"
        )
    fallen, attacked = fall.parts(rows).T > 0
    return rows.filter(pa.array(fallen if kind == FALLEN else attacked & ~fallen))


def rows_table(rows: pa.Table) -> Table:
    """Return a table of the main columns, one line per attack; without those of compute, for width."""
    task = task_of(rows)
    own = [field.name for field in task.columns if not pa.types.is_list(field.type) and field not in COMPUTE_COLUMNS]
    names = [name for name in ("id", "target", *own, *MEASURED) if rows.column(name).null_count < max(len(rows), 1)]
    figures = {metric.name: metric for metric in task.metrics}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        head = figures[name].label if name in figures else name
        head = head.replace("_", "\n").replace(" ", "\n")
        table.add_column(head, justify="left" if name == "id" else "right", no_wrap=True, vertical="bottom")
    shares = {"changed_share", *(name for name, metric in figures.items() if not metric.unit)}
    for row in rows.select(names).to_pylist():
        table.add_row(*(_text(row[name], share=name in shares) for name in names))
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
    """Yield samples worth a look: first to fall, slowest to fall, nearest to falling, or with the largest losses."""
    ids = rows.column("id").to_pylist()
    main, before = result.main, result.kind.metric(result.main.before)
    if _fall(rows) is None:
        clean, left = (metric.value(metric.parts(rows)) for metric in (before, main))
        order = np.argsort(np.nan_to_num(left) - np.nan_to_num(clean), kind="stable")[:FEW]
        named = (f"{ids[k]} ({main.text(clean[k])} -> {main.text(left[k])})" for k in order)
        yield f"largest loss of {main.label}", ", ".join(named)
        return
    fallen, survived = (chosen_rows(rows, kind) for kind in KINDS)
    if fallen.num_rows:
        yield "first fallen", ", ".join(_fallen(row) for row in fallen.slice(0, FEW).to_pylist())
    slow = sorted(_iterations(fallen), key=lambda pair: -pair[1])[:FEW]
    if slow:
        yield "slowest to fall", ", ".join(f"{name} (iteration {count})" for name, count in slow)
    if survived.num_rows:
        order = np.argsort(-survived.column("adversarial_loss").to_numpy(), kind="stable")[:FEW]
        near = survived.take(pa.array(order)).to_pylist()
        listed = (f"{row['id']} (loss {row['clean_loss']:.2f} -> {row['adversarial_loss']:.2f})" for row in near)
        yield "nearest to falling", ", ".join(listed)
    right = before.parts(rows)[:, 0] > 0
    wrong = list(dict.fromkeys(name for name, is_right in zip(ids, right, strict=True) if not is_right))
    if wrong:
        more = f", and {len(wrong) - FEW} more" if len(wrong) > FEW else ""
        yield "wrong before the attack", ", ".join(wrong[:FEW]) + more


def _fall(rows: pa.Table) -> Metric | None:
    """Return the metric of fallen samples; None for a task whose samples cannot fall as a whole."""
    return next((metric for metric in task_of(rows).metrics if metric.event and metric.stronger > 0), None)


def _iterations(fallen: pa.Table) -> Iterator[tuple[str, int]]:
    """Yield (sample, first iteration that fools the network) where the run has judged every iteration."""
    if len(fallen):
        for name, history in zip(*(fallen.column(key).to_pylist() for key in ("id", "history")), strict=True):
            if history and 0.0 in history[1:]:
                yield name, history.index(0.0, 1)


def _fallen(row: dict[str, object]) -> str:
    if "adversarial_prediction" not in row:
        return str(row["id"])
    target = "" if row["target"] is None else f", target {row['target']}"
    return f"{row['id']} ({row['label']} -> {row['adversarial_prediction']}{target})"


def _text(value: object, *, share: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2%}" if share else f"{value:.4g}"
    return str(value)
