"""Declarations of tasks, and how to look a task up."""

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from lgm_bench.registry import resolve
from lgm_bench.tasks.columns import IDENTITY, MEASURED
from lgm_bench.tasks.metric import Metric

TASKS = {
    "images": "lgm_bench.tasks.images:ImageClassification",
    "classification": "lgm_bench.tasks.point_clouds:ShapeClassification",
    "segmentation": "lgm_bench.tasks.point_clouds:SceneSegmentation",
}
"""Tasks by the name in the `task` attribute of data sets and victims."""

_KEY = b"task"


class ClassRecord(BaseModel):
    """IoU of every class from the confusion matrix summed over all scenes, as fractions in [0, 1].

    Attributes:
        names: Names of the classes.
        clean_iou: IoU of each class before the attack; None for a class that neither occurs nor is predicted, and for
            classes that the data set leaves out.
        iou: The same after the attack.
        clean_confusion: (C, C) points before the attack; rows are labels, columns predictions.
        confusion: The same after the attack.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...]
    clean_iou: tuple[float | None, ...]
    iou: tuple[float | None, ...]
    clean_confusion: tuple[tuple[int, ...], ...]
    confusion: tuple[tuple[int, ...], ...]


class Task:
    """Rows and metrics of one kind of samples.

    Attributes:
        name: Key in `TASKS`, or "module:Class" of a user's own task.
        adapter: "module:Class" of the `Adapter`; not the class itself, since reading results needs no PyTorch.
        inputs: Which attacks fit: those on "images" (any tensor (B, ...)) or on "points".
        sample: Word for one sample.
        unit_of_eps: Unit of eps; empty if it depends on the protocol.
        units: Heading of a table of the adaptive units.
        decisions: Words for the decisions that the architecture change counts.
        labels_points: Whether every point has a label, instead of the sample as a whole.
        columns: Columns beside those that all tasks have.
        metrics: Metrics, in the order of tables.
        main: Name of the metric that an attack lowers.
    """

    name: ClassVar[str]
    adapter: ClassVar[str]
    inputs: ClassVar[str] = "images"
    sample: ClassVar[str] = "image"
    unit_of_eps: ClassVar[str] = ""
    units: ClassVar[str] = "Adaptive units, in the order of the forward pass"
    decisions: ClassVar[str] = "the units' decisions"
    labels_points: ClassVar[bool] = False
    columns: ClassVar[tuple[pa.Field, ...]]
    metrics: ClassVar[tuple[Metric, ...]]
    main: ClassVar[str]

    @classmethod
    def schema(cls) -> pa.Schema:
        """Return the schema of the rows, with the name of the task in the metadata."""
        return pa.schema([*IDENTITY, *cls.columns, *MEASURED], metadata={_KEY: cls.name.encode()})

    @classmethod
    def metric(cls, name: str) -> Metric:
        """Return a metric by its name."""
        return next(metric for metric in cls.metrics if metric.name == name)

    @classmethod
    def compared(cls, *, targeted: bool) -> Metric:
        """Return the metric by which attacks are compared: the success rate of targeted attacks, else the main one."""
        rates = [metric for metric in cls.metrics if metric.name == "success_rate"] if targeted else []
        return rates[0] if rates else cls.metric(cls.main)

    @classmethod
    def class_record(cls, table: pa.Table, names: Sequence[str]) -> ClassRecord | None:  # noqa: ARG003
        """Return the results of each class over all rows of a cell; None for tasks that have none."""
        return None


def task_named(name: str) -> type[Task]:
    """Return a task by its name.

    Raises:
        UnknownNameError: There is no such task.
    """
    task: type[Task] = resolve("task", name, TASKS)
    return task


def task_of(table: pa.Table) -> type[Task]:
    """Return the task of rows, from the metadata of their schema."""
    return task_named((table.schema.metadata or {})[_KEY].decode())
