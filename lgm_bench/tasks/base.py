"""What a task declares, and the task of a name or of rows."""

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
"""By the name that data sets and victims give in their `task`."""

_KEY = b"task"


class ClassRecord(BaseModel):
    """IoUs of every class, over the confusion matrix summed over all scenes, as fractions in [0, 1].

    Attributes:
        names: In the order of the IoUs.
        clean_iou: IoU of each class before the attack; None for a class that neither occurs nor is predicted, and for
            classes that the data set leaves out.
        iou: After it.
        clean_confusion: (C, C) points before the attack; rows are labels, columns predictions.
        confusion: After it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...]
    clean_iou: tuple[float | None, ...]
    iou: tuple[float | None, ...]
    clean_confusion: tuple[tuple[int, ...], ...]
    confusion: tuple[tuple[int, ...], ...]


class Task:
    """The rows of one kind of samples, and the figures that are computed from them.

    Attributes:
        name: Key in `TASKS`, or the "module:Class" of a user's own.
        adapter: "module:Class" of the `Adapter` that attacks and stage use; a name, since reading results needs no
            PyTorch.
        inputs: Inputs of the attacks that fit: "images" (any tensor (B, ...)) or "points".
        sample: Word for one sample.
        unit_of_eps: Unit of eps; empty where the protocol decides.
        units: Heading of a table of the adaptive units.
        decisions: What the architecture change is a share of.
        labels_points: Whether every point has a label, in place of the sample as a whole.
        columns: Columns of its own, beside those of all tasks.
        metrics: Its figures, in their order in tables.
        main: Name of the figure that an attack lowers.
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
        """Return the schema of its rows, with the task's name in the metadata."""
        return pa.schema([*IDENTITY, *cls.columns, *MEASURED], metadata={_KEY: cls.name.encode()})

    @classmethod
    def metric(cls, name: str) -> Metric:
        """Return one of its figures."""
        return next(metric for metric in cls.metrics if metric.name == name)

    @classmethod
    def compared(cls, *, targeted: bool) -> Metric:
        """Return the figure that attacks are compared by."""
        own = [metric for metric in cls.metrics if metric.name == "success_rate"] if targeted else []
        return own[0] if own else cls.metric(cls.main)

    @classmethod
    def class_record(cls, table: pa.Table, names: Sequence[str]) -> ClassRecord | None:  # noqa: ARG003
        """Return the figures of each class over all rows of a cell; None where the task has none."""
        return None


def task_named(name: str) -> type[Task]:
    """Return a task.

    Raises:
        UnknownNameError: There is none of this name.
    """
    task: type[Task] = resolve("task", name, TASKS)
    return task


def task_of(table: pa.Table) -> type[Task]:
    """Return the task that the schema of rows names."""
    return task_named((table.schema.metadata or {})[_KEY].decode())
