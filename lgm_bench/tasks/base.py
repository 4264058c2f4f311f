"""What a task declares, and finding the task of a name or of rows."""

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from lgm_bench.registry import resolve
from lgm_bench.tasks.columns import IDENTITY, MEASURED
from lgm_bench.tasks.metric import Metric

TASKS = {
    "images": "lgm_bench.tasks.images:ImageClassification",
    "classification": "lgm_bench.tasks.shapes:ShapeClassification",
    "segmentation": "lgm_bench.tasks.scenes:SceneSegmentation",
}
"""By the names that data sets and victims of points say in their `task`."""

_KEY = b"task"


class ClassRecord(BaseModel):
    """IoUs of every class, over the confusion matrix summed over all scenes, as fractions in [0, 1].

    Attributes:
        names: In the order of the IoUs.
        clean_iou: Of each class before the attack; None for one that neither occurs nor is predicted, and for those
            that are left out of the mean by definition.
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
    """What the rows of one kind of samples say, and the figures that they make. Nothing else decides by the kind.

    Attributes:
        name: Key in `TASKS`, or the "module:Class" of a user's own.
        adapter: "module:Class" of the `Adapter` that attacks and stage work through; a name, since who reads results
            needs no PyTorch.
        inputs: Which attacks fit, those of the same `inputs`: "images" (any tensor (B, ...)) or "points".
        sample: What one is called.
        unit_of_eps: Of an eps of 1; empty where the protocol says.
        labels_points: Whether every point has a label, and not the sample as a whole.
        columns: Columns of its own, beside those that all tasks have.
        metrics: Its figures, in the order in which they are told.
        main: Name of the figure that an attack lowers.
    """

    name: ClassVar[str]
    adapter: ClassVar[str]
    inputs: ClassVar[str] = "images"
    sample: ClassVar[str] = "image"
    unit_of_eps: ClassVar[str] = ""
    labels_points: ClassVar[bool] = False
    columns: ClassVar[tuple[pa.Field, ...]]
    metrics: ClassVar[tuple[Metric, ...]]
    main: ClassVar[str]

    @classmethod
    def schema(cls) -> pa.Schema:
        """Return the schema of its rows, which says whose they are."""
        return pa.schema([*IDENTITY, *cls.columns, *MEASURED], metadata={_KEY: cls.name.encode()})

    @classmethod
    def metric(cls, name: str) -> Metric:
        """Return one of its figures."""
        return next(metric for metric in cls.metrics if metric.name == name)

    @classmethod
    def compared(cls, *, targeted: bool) -> Metric:
        """Return the figure by which attacks are compared."""
        own = [metric for metric in cls.metrics if metric.name == "success_rate"] if targeted else []
        return own[0] if own else cls.metric(cls.main)

    @classmethod
    def class_record(cls, table: pa.Table, names: Sequence[str]) -> ClassRecord | None:  # noqa: ARG003
        """Return what all rows of a cell say of each class; None where classes have no figures of their own."""
        return None


def task_named(name: str) -> type[Task]:
    """Return a task.

    Raises:
        UnknownNameError: There is none of this name.
    """
    task: type[Task] = resolve("task", name, TASKS)
    return task


def task_of(table: pa.Table) -> type[Task]:
    """Return the task that rows with the schema of one belong to."""
    return task_named((table.schema.metadata or {})[_KEY].decode())
