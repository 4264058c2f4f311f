"""The seam between attacks and tasks: all that differs between tasks is in the methods of one class."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.recording import hard_units
from lgm_bench.metrics.architecture_change import ChangeCounts, change_counts
from lgm_bench.registry import resolve
from lgm_bench.tasks.base import TASKS, Task, task_named
from lgm_bench.tasks.checks import check_output
from lgm_bench.voxels.neighbours import Reach

Work = Callable[[int], dict[str, Tensor]]
"""Maps a number of samples B to the cost of each, (B,) by name."""


class Verdict(NamedTuple):
    """The hard network's verdict about B samples.

    Attributes:
        score: (B,) float64, lower is better for the attack: the margin of the true class, or a scene's mIoU.
        fallen: (B,) bool, whether the attack has reached its goal; always False for scenes, which have none.
    """

    score: Tensor
    fallen: Tensor

    def beats(self, other: "Verdict") -> Tensor:
        """Return where (B,) this is better for the attack: fallen before not fallen, then the lower score."""
        return (self.fallen & ~other.fallen) | ((self.fallen == other.fallen) & (self.score < other.score))


class Judged(NamedTuple):
    """The hard network's output for B samples.

    Attributes:
        logits: (K, C), group after group.
        verdict: (B,).
        decisions: For each group, by name of the unit, (B', ...) bool; see `hard_units`.
    """

    logits: Tensor
    verdict: Verdict
    decisions: list[dict[str, Tensor]]


class Attempt(NamedTuple):
    """The result of one attack on some samples.

    Attributes:
        target: The class wanted; None is an untargeted attack.
        inputs: After the attack.
        predictions: (K,) int64, the hard network's, one per row of its logits.
        attacked: (B,) bool, whether the sample counts as attacked.
    """

    target: int | None
    inputs: Any
    predictions: Tensor
    attacked: Tensor


@dataclass(frozen=True)
class Group:
    """Samples that go through a network together.

    Attributes:
        inputs: Inputs of the victim.
        labels: Labels of these samples.
        rows: Their rows of the batch's values.
        samples: Their places in the batch.
    """

    inputs: Any
    labels: Tensor
    rows: slice
    samples: slice


class Adapter:
    """Inputs and outputs of a victim in one task, and when an attack on it has succeeded.

    An attack changes the *values* of a batch, a tensor (R, ...): the images (B, C, H, W), or the points (N, 3) of B
    clouds. Each row of it belongs to one sample.

    Args:
        ignored_classes: Classes that no verdict and no metric counts.

    Attributes:
        task: Declares the rows and figures of such samples.
        can_target: Whether attacks can be targeted.
        scores_outputs: Whether `scored` returns the victim's own output, so that the forward pass of an attack's
            gradient, if it is hard, is a verdict too.
        folds: Whether batch norm may be folded into convolutions, and channels be last.
        kept: Type of what `saved` returns; None: nothing is kept of samples beside their rows.
    """

    task: ClassVar[type[Task]]
    can_target: ClassVar[bool] = True
    scores_outputs: ClassVar[bool] = True
    folds: ClassVar[bool] = True
    kept: ClassVar[type[Any] | None] = None

    def __init__(self, ignored_classes: Sequence[int] = ()) -> None:
        self.ignored_classes = tuple(ignored_classes)

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        """Check the arguments of an attack; labels are int64 already.

        Raises:
            ConfigError: A shape, a type or a value is wrong.
        """
        raise NotImplementedError

    def values(self, inputs: Any) -> Tensor:
        """Return the values that an attack changes, (R, ...)."""
        raise NotImplementedError

    def replaced(self, inputs: Any, values: Tensor) -> Any:
        """Return the inputs with other values (R, ...)."""
        raise NotImplementedError

    def owner(self, inputs: Any) -> Tensor:
        """Return the sample of each row of the values, (R,) int64, ascending."""
        raise NotImplementedError

    def groups(self, inputs: Any, labels: Tensor) -> list[Group]:
        """Return the samples of a batch in the groups that go through a network together."""
        raise NotImplementedError

    def select(self, inputs: Any, labels: Tensor, samples: Tensor) -> tuple[Any, Tensor]:
        """Return the inputs and labels of some samples (K,) int64, in ascending order."""
        raise NotImplementedError

    def laid_out(self, batch: Any) -> Any:
        """Return a batch (inputs, labels, ids) in the memory layout that is fastest for the networks."""
        return batch

    def detached(self, inputs: Any) -> Any:
        """Return inputs without a graph; see `usable`."""
        raise NotImplementedError

    def scored(self, victim: Any, inputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what an objective compares: logits (K, C) and labels (K,).

        K is the number of samples; in a group of a single sample it can be any number, such as that of its points.

        Raises:
            ConfigError: The victim's output does not fit the labels.
        """
        logits = victim(inputs)
        self.check_logits(logits, labels, None)
        return logits, labels

    def check_logits(self, logits: Tensor, labels: Tensor, target: Tensor | None) -> None:
        """Check that logits fit the labels, or the target if there is one.

        Raises:
            ConfigError: They are not a tensor, have another shape, or too few classes.
        """
        check_output(logits)
        classes = labels if target is None else target
        if logits.ndim != 2 or len(logits) != len(labels):
            expected = f"({len(labels)}, classes)"
            raise ConfigError(f"the victim gave logits of shape {tuple(logits.shape)}, expected {expected}")
        largest = int(classes.max()) if len(classes) else 0
        if largest >= logits.shape[1]:
            raise ConfigError(
                f"class {largest} is out of range: the victim has {logits.shape[1]} classes (0 to "
                f"{logits.shape[1] - 1}); check that data and victim belong together"
            )

    def verdict(self, logits: Tensor, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Verdict:
        """Return the verdict from logits of the hard network for the samples of a group.

        Raises:
            ConfigError: The logits allow no verdict.
        """
        raise NotImplementedError

    def verdicts(
        self, groups: Sequence[Group], logits: Sequence[Tensor], target: Tensor | None, ids: Sequence[str]
    ) -> Verdict:
        """Return the verdict from the hard network's logits of all groups; see `verdict`."""
        found = []
        for group, of_group in zip(groups, logits, strict=True):
            wanted = None if target is None else target[group.samples]
            found.append(self.verdict(of_group, group.labels, wanted, ids[group.samples]))
        return found[0] if len(found) == 1 else Verdict(*map(torch.cat, zip(*found, strict=True)))

    def judged(self, victim: Any, inputs: Any, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Judged:
        """Return the hard network's logits, verdict and decisions for inputs; see `verdict`."""
        groups = self.groups(inputs, labels)
        logits, decisions = zip(*(hard_units(victim, group.inputs) for group in groups), strict=True)
        verdict = self.verdicts(groups, logits, target, ids)
        return Judged(torch.cat(logits), verdict, list(decisions))

    def attacked(self, clean: Judged, labels: Tensor, target: int | None) -> Tensor:
        """Return which samples (B,) bool count as attacked."""
        return torch.ones_like(clean.verdict.fallen)

    def logit_owner(self, inputs: Any) -> Tensor:
        """Return the sample of each row of the logits, (K,) int64."""
        raise NotImplementedError

    def columns(
        self, inputs: Any, labels: Tensor, clean: Tensor, logits: Tensor, attacked: Tensor, target: int | None
    ) -> dict[str, Tensor | list[int]]:
        """Return the task's own columns of B rows, from logits (K, C) before and after an attack."""
        raise NotImplementedError

    def losses(self, inputs: Any, labels: Tensor, logits: Tensor) -> Tensor:
        """Return each sample's cross-entropy with its labels, (B,)."""
        raise NotImplementedError

    def withstood(self, verdict: Verdict) -> Tensor:
        """Return the column `history` from verdicts (...)."""
        return (~verdict.fallen).double()

    def counts(
        self,
        victim: Any,
        clean: Any,
        inputs: Any,
        before: Sequence[dict[str, Tensor]],
        after: Sequence[dict[str, Tensor]],
    ) -> ChangeCounts | None:
        """Return the changes from the clean inputs' decisions `before` to those `after`, both by group."""
        counted = [change_counts(*pair) for pair in zip(before, after, strict=True)]
        found = [counts for counts in counted if counts is not None]
        return ChangeCounts(*map(torch.cat, zip(*found, strict=True))) if found else None

    def saved(
        self, sample_id: str, clean: Any, labels: Tensor, predictions: Tensor, attempts: Sequence[Attempt]
    ) -> Any:
        """Return a `kept` of one sample.

        Args:
            sample_id: Id of the sample.
            clean: Its inputs before the attack.
            labels: Its labels.
            predictions: The hard network's before the attack.
            attempts: One per target; one in an untargeted attack.
        """
        raise NotImplementedError

    def example(self, sample: Any, victim: Any) -> Any:
        """Return the part of a `kept` that pictures need."""
        return sample

    def reach(self, clean: Tensor, step: float, eps: float) -> Reach | None:
        """Return how far an attack can move points, clean (R, 3); None where there are no voxels."""
        return None

    @contextmanager
    def measured(self, victim: Any) -> Iterator[Work]:
        """Yield a function that returns the cost of the victim's forward passes in this block; here, of none."""
        yield lambda _: {}


def adapter_named(name: str, ignored_classes: Sequence[int] = ()) -> Adapter:
    """Return the adapter of a task.

    Args:
        name: Of the task: registered, or `package.module:Class`.
        ignored_classes: Classes that no verdict and no metric counts.

    Raises:
        UnknownNameError: There is no such task.
        ConfigError: It cannot be imported.
    """
    adapter: Adapter = resolve("adapter", task_named(name).adapter, TASKS)(ignored_classes)
    return adapter


def adapter_of(victim: Any) -> Adapter:
    """Return the adapter of the task that a victim names as its `task`, of image classification if it names none."""
    return adapter_named(getattr(victim, "task", "images"))
