"""The seam between attacks and what they attack: one class, whose methods hold all that differs between tasks."""

from collections.abc import Iterator, Sequence
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
from lgm_bench.voxels.neighbours import Reach


class Verdict(NamedTuple):
    """What the hard network makes of B samples.

    Attributes:
        score: (B,) float64, what an attack wants low, such as the margin of the true class or a scene's mIoU.
        fallen: (B,) bool, whether the sample is where the attack wants it; always False where there is no such thing.
    """

    score: Tensor
    fallen: Tensor

    def beats(self, other: "Verdict") -> Tensor:
        """Return where (B,) this is better for the attack: fallen over not fallen, else the lower score."""
        return (self.fallen & ~other.fallen) | ((self.fallen == other.fallen) & (self.score < other.score))


class Judged(NamedTuple):
    """What the hard network makes of B samples.

    Attributes:
        logits: (K, C), those of groups one after another.
        verdict: (B,).
        decisions: Of each group, by name of the unit, (B', ...) bool; see `hard_units`.
    """

    logits: Tensor
    verdict: Verdict
    decisions: list[dict[str, Tensor]]


class Attempt(NamedTuple):
    """What one attack made of some samples.

    Attributes:
        target: The class wanted, if there was one.
        inputs: After the attack.
        predictions: (K,) int64, of the hard network for the rows of its logits.
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
        inputs: What the victim takes.
        labels: Of these samples.
        rows: Which rows of the batch's values are theirs.
        samples: Which samples of the batch they are.
    """

    inputs: Any
    labels: Tensor
    rows: slice
    samples: slice


class Work:
    """What the forward passes of some samples took; nothing is counted here."""

    def of_samples(self, n_samples: int) -> dict[str, Tensor]:
        """Return the cost of each sample, (B,) by name."""
        return {}


class Adapter:
    """What a victim takes and gives in one task, and when an attack on it has succeeded.

    An attack changes the *values* of a batch, a tensor (R, ...): the images (B, C, H, W), or the points (N, 3) of B
    clouds. Each row of it belongs to one sample.

    Args:
        ignored_classes: Classes that no verdict and no metric counts.

    Attributes:
        task: What rows and figures of such samples are.
        can_target: Whether an attack can want a certain class.
        scores_outputs: Whether `scored` compares the victim's own output, so that a hard forward pass of an attack's
            gradient is a verdict too.
        folds: Whether batch norm may be folded into convolutions, and channels be last.
        kept: What `saved` returns; None: nothing is kept of samples beside their rows.
    """

    task: ClassVar[type[Task]]
    can_target: ClassVar[bool] = True
    scores_outputs: ClassVar[bool] = True
    folds: ClassVar[bool] = True
    kept: ClassVar[type[Any] | None] = None

    def __init__(self, ignored_classes: Sequence[int] = ()) -> None:
        self.ignored_classes = tuple(ignored_classes)

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        """Check what a user hands to an attack; labels are int64 already.

        Raises:
            ConfigError: A shape, a type or a value is wrong.
        """
        raise NotImplementedError

    def values(self, inputs: Any) -> Tensor:
        """Return what an attack changes, (R, ...)."""
        raise NotImplementedError

    def replaced(self, inputs: Any, values: Tensor) -> Any:
        """Return inputs that have other values (R, ...)."""
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
        """Return inputs without a graph, which autograd can save also if they were made in inference mode."""
        raise NotImplementedError

    def scored(self, victim: Any, inputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what an objective compares: logits (K, C) and labels (K,).

        K is the number of samples; in a group of a single sample it can be any number, such as that of its points.
        """
        return victim(inputs), labels

    def check_logits(self, logits: Tensor, labels: Tensor, target: Tensor | None) -> None:
        """Check that logits fit the labels, and the target if there is one.

        Raises:
            ConfigError: They have another shape, or too few classes.
        """
        classes = labels if target is None else target
        if logits.ndim != 2 or len(logits) != len(labels):
            expected = f"({len(labels)}, classes)"
            raise ConfigError(f"the victim gave logits of shape {tuple(logits.shape)}, expected {expected}")
        largest = int(classes.max()) if len(classes) else 0
        if largest >= logits.shape[1]:
            raise ConfigError(
                f"class {largest} is out of range: the victim knows {logits.shape[1]} classes (0 to "
                f"{logits.shape[1] - 1}); check that data and victim belong together"
            )

    def verdict(self, logits: Tensor, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Verdict:
        """Return what logits of the hard network mean for the samples of a group.

        Raises:
            ConfigError: No verdict can be taken from them.
        """
        raise NotImplementedError

    def verdicts(
        self, groups: Sequence[Group], logits: Sequence[Tensor], target: Tensor | None, ids: Sequence[str]
    ) -> Verdict:
        """Return what the hard network's logits of all groups mean for the samples.

        Raises:
            ConfigError: No verdict can be taken from them.
        """
        found = []
        for group, of_group in zip(groups, logits, strict=True):
            wanted = None if target is None else target[group.samples]
            found.append(self.verdict(of_group, group.labels, wanted, ids[group.samples]))
        return found[0] if len(found) == 1 else Verdict(*map(torch.cat, zip(*found, strict=True)))

    def judged(self, victim: Any, inputs: Any, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Judged:
        """Return what the hard network makes of inputs.

        Raises:
            ConfigError: No verdict can be taken from its logits.
        """
        groups = self.groups(inputs, labels)
        logits, decisions = zip(*(hard_units(victim, group.inputs) for group in groups), strict=True)
        return Judged(torch.cat(logits), self.verdicts(groups, logits, target, ids), list(decisions))

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
        """Return what the column `history` says of verdicts (...)."""
        return (~verdict.fallen).double()

    def counts(
        self,
        victim: Any,
        clean: Any,
        inputs: Any,
        before: Sequence[dict[str, Tensor]],
        after: Sequence[dict[str, Tensor]],
    ) -> ChangeCounts | None:
        """Return how decisions changed from the clean inputs to others; by group, `before` and `after` are them."""
        counted = [change_counts(*pair) for pair in zip(before, after, strict=True)]
        found = [counts for counts in counted if counts is not None]
        return ChangeCounts(*map(torch.cat, zip(*found, strict=True))) if found else None

    def saved(
        self, sample_id: str, clean: Any, labels: Tensor, predictions: Tensor, attempts: Sequence[Attempt]
    ) -> Any:
        """Return a `kept` of one sample from its attempts, of which there are several with several targets.

        Args:
            sample_id: Of the sample.
            clean: Its inputs before the attack.
            labels: Its labels.
            predictions: Of the hard network before the attack.
            attempts: At least one.
        """
        raise NotImplementedError

    def example(self, sample: Any, victim: Any) -> Any:
        """Return what is kept of a sample for pictures."""
        return sample

    def reach(self, clean: Tensor, step: float, eps: float) -> Reach | None:
        """Return how far an attack moves points, (R, 3) before it; None where there are no voxels."""
        return None

    @contextmanager
    def measured(self, victim: Any) -> Iterator[Work]:
        """Yield what counts the work of the victim's forward passes in this block."""
        yield Work()


def usable(values: Tensor) -> Tensor:
    """Return a tensor without graph, and a copy of one that was made in inference mode: autograd cannot save that."""
    return values.clone() if values.is_inference() else values.detach()


def check_finite_logits(logits: Tensor, ids: Sequence[str]) -> None:
    """Check that a verdict can be taken from logits (B, C): of those that are no numbers none is the largest.

    Raises:
        ConfigError: One is NaN.
    """
    bad = logits.isnan().flatten(1).any(dim=1).tolist()
    if any(bad):
        first = next(name for name, is_bad in zip(ids, bad, strict=True) if is_bad)
        raise ConfigError(
            f"the victim's logits of {sum(bad)} samples are not numbers (first: {first!r}); check its weights"
        )


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
