"""The record of a finished cell: its numbers and how they were measured, as typed JSON."""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from lgm_bench.errors import LgmBenchError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.tasks.base import ClassRecord, Task, task_named
from lgm_bench.tasks.metric import Metric


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UnitRecord(_Record):
    """How the adaptive units changed, as shares in [0, 1]; the voxels of point clouds are one unit.

    Attributes:
        n_samples: Number of attacks averaged over (samples, or samples x targets): those that ran.
        on_to_off: Share of decisions that were on and went off.
        off_to_on: Share of decisions that were off and went on.
        per_unit: Share of each unit's decisions that changed, in the order of the forward pass.
    """

    n_samples: int
    on_to_off: float
    off_to_on: float
    per_unit: tuple[float, ...]


class Preflight(_Record):
    """Checks on a cell's first images, made before it is computed.

    Attributes:
        n_samples: Images that the checks looked at.
        zero_gradient_share: Share of the components of the input gradient that are exactly 0.
        deterministic: Whether logits and gradient came out the same, bit for bit, a second time.
        batch_invariance: Largest difference of a logit between an image in a batch and the same image alone,
            relative to the largest logit.
        saturated_occupancies: Share of the occupancies whose derivative is almost 0 at LGM's slope; None for FGM, and
            for victims whose only decisions are their voxels.
        units: Number of adaptive units.
        constant_units: Number of units that make the same decision everywhere in all of these images.
        masking_samples: Number of images on which signs of gradient masking were looked for. 0 if they were not:
            the attack has one step or no gradient, samples are few or scenes, or there is an active set.
        loss_of_twice_the_steps: Mean cross-entropy of the hard network after an attack of twice as many steps, over
            the `masking_samples` that it gets right.
        large_eps: A half-width (an intensity, or metres) so large that no accuracy should be left.
        accuracy_at_large_eps: Share of the same images that are classified correctly after an attack with it.
    """

    n_samples: int
    zero_gradient_share: float
    deterministic: bool
    batch_invariance: float
    saturated_occupancies: float | None = None
    units: int = 0
    constant_units: int = 0
    masking_samples: int = 0
    loss_of_twice_the_steps: float | None = None
    large_eps: float | None = None
    accuracy_at_large_eps: float | None = None


class Checks(Preflight):
    """The pre-flight checks, and those that need the rows.

    Attributes:
        loss_of_the_steps: Like `loss_of_twice_the_steps`, after the attack itself.
        within_bounds: Whether every adversarial image lies in its ball and in the protocol's intensity range.
    """

    loss_of_the_steps: float | None = None
    within_bounds: bool


class RunRecord(_Record):
    """How the run that finished a cell was set up; none of it changes a number.

    Attributes:
        batch_size: Samples per batch and process.
        processes: Number of processes that shared the samples.
        accelerator: Lightning's name of the accelerator.
    """

    batch_size: int
    processes: int
    accelerator: str


class CellResult(_Record):
    """One cell's numbers. Shares are fractions in [0, 1].

    Attributes:
        task: Name of the task, see `lgm_bench.tasks`.
        cell: The cell, with every default filled in.
        fingerprint: Name of the cell's folder, see `Cell.fingerprint`.
        n_samples: Images, shapes or scenes; `cell.data.limit` says whether they are only the first ones.
        n_attempts: Samples x targets (untargeted: `n_samples`).
        n_attacked: Attempts that count. For images and shapes: if untargeted, samples that are classified correctly
            before the attack; if targeted, those neither labelled nor predicted as the target. For scenes: all.
        metrics: The task's figures, by name; None where one has no value.
        units: Changes of the adaptive units; None for a victim without any.
        classes: IoU of every class; for scenes only.
        checks: Pre-flight checks.
        slopes: Slope of every unit if the cell's slope is "auto".
        folded: Whether batch norm was folded into the convolutions of the network that was attacked and judged.
        backend: Library that computed the sparse convolutions of point clouds.
        checkpoint_sha256: Hash of the victim's weights as loaded, independent of the file format. If thresholds come
            from held-out samples (the rule "quantile"), the hash covers these samples too.
        trained_on: Data set on which the weights were trained, by their training record; None without one.
        data_sha256: Hash of the sample ids, in order.
        content_sha256: Hash of the samples' content, see `SamplesDataModule.content_sha256`; with that of the held-out
            samples if the attack learns on them.
        sources: sha256, by file, of the user's own code that the cell names and of the local files that it imports.
        versions: Versions of lgm-bench, python and the libraries that compute.
        git_commit: Commit of the source tree; several, separated by "; ", if it changed between runs; None without git.
        device: Name of the device.
        precision: Precision of the victim's parameters, with "-mixed" if operations used a lower one.
        run: Setup of the run that finished the cell; None if it is unknown.
        finished_at: When the cell was complete, in local time with its offset, "2026-11-26T12:59:52+00:00".
        wall_time_s: Time spent on the batches, over all runs that contributed, summed over processes.
        peak_memory: Largest memory of one process, in bytes.
        peak_gpu_memory: Largest GPU memory of tensors in one process, in bytes; None without a GPU.
    """

    task: str
    cell: Cell
    fingerprint: str
    n_samples: int
    n_attempts: int
    n_attacked: int
    metrics: dict[str, float | None]
    units: UnitRecord | None
    classes: ClassRecord | None = None
    checks: Checks
    slopes: dict[str, float] | None = None
    folded: bool
    backend: str | None = None
    checkpoint_sha256: str
    trained_on: str | None = None
    data_sha256: str
    content_sha256: str
    sources: dict[str, str] = {}
    versions: dict[str, str]
    git_commit: str | None
    device: str
    precision: str
    run: RunRecord | None = None
    finished_at: str
    wall_time_s: float
    peak_memory: int | None = None
    peak_gpu_memory: int | None = None

    @model_validator(mode="after")
    def _figures_are_those_of_the_task(self) -> Self:
        try:
            metrics = task_named(self.task).metrics
        except LgmBenchError as error:
            raise ValueError(str(error)) from error
        if [metric.name for metric in metrics] != list(self.metrics):
            figures = {"figures": ", ".join(self.metrics), "task": self.task}
            raise PydanticCustomError("other_figures", "{figures} are not the figures of {task}", figures)
        for metric in metrics:
            value = self.metrics[metric.name]
            least = -math.inf if metric.signed else 0
            if value is not None and not least <= value <= (math.inf if metric.unit else 1):
                raise ValueError(f"{metric.label} is {value} where a {metric.unit or 'share'} belongs")
        return self

    @property
    def kind(self) -> type[Task]:
        """The task itself."""
        return task_named(self.task)

    @property
    def main(self) -> Metric:
        """The metric that an attack lowers, such as the accuracy."""
        return self.kind.metric(self.kind.main)

    @property
    def compared(self) -> Metric:
        """The metric by which its attack is compared with others."""
        return self.kind.compared(targeted=self.cell.attack.targeted)

    @property
    def left(self) -> float:
        """Value of `main` after the attack; NaN if it has none."""
        return self._value(self.main.name)

    @property
    def clean(self) -> float:
        """Value of `main` before the attack; NaN if it has none."""
        return self._value(self.main.before)

    def _value(self, name: str) -> float:
        value = self.metrics[name]
        return math.nan if value is None else value
