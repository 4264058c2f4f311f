"""Adapters: one class per task, with everything that attacks and the attack stage handle differently."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.compute import Costs, decision_costs
from lgm_bench.leaded.recording import Call, hard_units
from lgm_bench.metrics.architecture_change import ChangeCounts, change_counts
from lgm_bench.registry import resolve
from lgm_bench.tasks.base import TASKS, Task, task_named
from lgm_bench.tasks.checks import check_output, largest_class
from lgm_bench.voxels.neighbours import Reach

Work = Callable[[int], dict[str, Tensor]]
"""Returns the cost of each of B samples, (B,) by name."""


class Verdict(NamedTuple):
    """The hard network's verdict on B samples.

    Attributes:
        score: (B,) float64, lower is better for the attack: the margin of the true class, or a scene's mIoU.
        fallen: (B,) bool, whether the attack has reached its goal; always False for scenes, which have no such goal.
        counts: (B, K) int64, of scenes: intersections and then unions of the classes, in points; otherwise K is 0.
    """

    score: Tensor
    fallen: Tensor
    counts: Tensor

    def beats(self, other: "Verdict") -> Tensor:
        """Return where (B,) bool this verdict is better for the attack: fallen first, then the lower score."""
        return (self.fallen & ~other.fallen) | ((self.fallen == other.fallen) & (self.score < other.score))


class Judged(NamedTuple):
    """The hard network's output for B samples.

    Attributes:
        logits: (K, C), group after group.
        verdict: The verdict on each sample.
        decisions: Decisions (B', ...) bool by name of the unit, see `hard_units`. For images and shapes one entry for
            all; for scenes one entry per scene.
    """

    logits: Tensor
    verdict: Verdict
    decisions: list[dict[str, Tensor]]


class Attempt(NamedTuple):
    """The result of one attack on some samples.

    Attributes:
        target: Target class; None for an untargeted attack.
        inputs: Adversarial inputs.
        predictions: (K,) int64, of the hard network after the attack, one per row of its logits.
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
        rows: Rows of these samples in the values of the batch.
        samples: Indices of these samples in the batch.
        padding: How many copies of the first sample go through the network with them; only for inputs (B, ...).
    """

    inputs: Any
    labels: Tensor
    rows: slice
    samples: slice
    padding: int = 0

    def padded(self, values: Any) -> Any:
        """Return inputs, or other values of these samples, with those of the first one added `padding` times."""
        if not self.padding:
            return values
        index = torch.arange(len(values) + self.padding, device=values.device)
        return values[torch.where(index < len(values), index, 0)]

    def cut(self, values: Tensor) -> Tensor:
        """Return values of padded samples without those of the padding."""
        return values[: len(values) - self.padding]


class Adapter:
    """Inputs, outputs and verdicts of victims in one task.

    An attack changes the *values* of a batch, a tensor (R, ...): images (B, C, H, W), or the points (N, 3) of B clouds.
    Each row belongs to one sample.

    Args:
        ignored_classes: Classes that verdicts and metrics leave out.

    Attributes:
        pass_size: Number of samples in every forward pass; None: all samples of a batch. See `fixed_pass_size`.
        task: Declares rows and metrics.
        can_target: Whether attacks can be targeted.
        scores_outputs: Whether `scored` returns the victim's own output. A hard forward pass for an attack's gradient
            then gives a verdict too.
        folds: Whether batch norm may be folded into convolutions, and tensors be channels-last.
        kept: Type that `saved` returns; None if only the rows of samples are kept.
    """

    task: ClassVar[type[Task]]
    can_target: ClassVar[bool] = True
    scores_outputs: ClassVar[bool] = True
    folds: ClassVar[bool] = True
    kept: ClassVar[type[Any] | None] = None

    def __init__(self, ignored_classes: Sequence[int] = ()) -> None:
        self.ignored_classes = tuple(ignored_classes)
        self.pass_size: int | None = None

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        """Check the arguments of an attack; labels are already int64.

        Raises:
            ConfigError: A shape, type or value is wrong.
        """
        raise NotImplementedError

    def values(self, inputs: Any) -> Tensor:
        """Return the values that an attack changes, (R, ...)."""
        raise NotImplementedError

    def replaced(self, inputs: Any, values: Tensor) -> Any:
        """Return the inputs with other values (R, ...)."""
        raise NotImplementedError

    def owner(self, inputs: Any) -> Tensor:
        """Return the sample of each row of values, (R,) int64, ascending."""
        raise NotImplementedError

    def groups(self, inputs: Any, labels: Tensor) -> list[Group]:
        """Return the samples of a batch, in groups that go through a network together."""
        raise NotImplementedError

    def fixed_pass_size(self, inputs: Any, n_samples: int) -> int | None:
        """Return in groups of which size the samples of a cell go through a network on a CPU; None: in any size.

        Libraries round differently for batches of different sizes. With groups of one size, padded where samples are
        missing, a sample's result is the same in every batch. `inputs` are some of the `n_samples` of the cell.
        """
        return None

    def select(self, inputs: Any, labels: Tensor, samples: Tensor) -> tuple[Any, Tensor]:
        """Return the inputs and labels of some samples (K,) int64, in ascending order."""
        raise NotImplementedError

    def decision_costs(self, victim: Any, inputs: Any, labels: Tensor) -> Costs | None:
        """Return what each decision of the victim costs, counted on the first sample; None if that is unknown."""
        first = torch.zeros(1, dtype=torch.int64, device=labels.device)
        return decision_costs(victim, self.select(inputs, labels, first)[0])

    def laid_out(self, batch: Any) -> Any:
        """Return a batch (inputs, labels, ids) in the memory layout in which networks are fastest."""
        return batch

    def detached(self, inputs: Any) -> Any:
        """Return inputs without autograd graph; see `usable`."""
        raise NotImplementedError

    def scored(self, victim: Any, inputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (K, C) and labels (K,) that an objective compares.

        K is the number of samples, or for a single sample any number, such as that of its points.

        Raises:
            ConfigError: The victim's output does not fit the labels.
        """
        logits = victim(inputs)
        self.check_logits(logits, labels, None)
        return logits, labels

    def check_logits(self, logits: Tensor, labels: Tensor, target: Tensor | None) -> None:
        """Check that logits fit the labels, or the target if there is one.

        Raises:
            ConfigError: The logits are not a tensor, or have a wrong shape or too few classes.
        """
        check_output(logits)
        classes = labels if target is None else target
        if logits.ndim != 2 or len(logits) != len(labels):
            expected = f"({len(labels)}, classes)"
            raise ConfigError(f"the victim gave logits of shape {tuple(logits.shape)}, expected {expected}")
        largest = largest_class(classes)
        if largest >= logits.shape[1]:
            raise ConfigError(
                f"class {largest} is out of range: the victim has {logits.shape[1]} classes (0 to "
                f"{logits.shape[1] - 1}); check that data and victim belong together"
            )

    def verdict(self, logits: Tensor, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Verdict:
        """Return the verdict on one group from logits of the hard network.

        Raises:
            ConfigError: The logits allow no verdict.
        """
        raise NotImplementedError

    def verdicts(
        self, groups: Sequence[Group], logits: Sequence[Tensor], target: Tensor | None, ids: Sequence[str]
    ) -> Verdict:
        """Return the verdict on all groups from logits of the hard network; see `verdict`."""
        verdicts = []
        for group, group_logits in zip(groups, logits, strict=True):
            group_target = None if target is None else target[group.samples]
            verdicts.append(self.verdict(group_logits, group.labels, group_target, ids[group.samples]))
        return verdicts[0] if len(verdicts) == 1 else Verdict(*map(torch.cat, zip(*verdicts, strict=True)))

    def judged(self, victim: Any, inputs: Any, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Judged:
        """Return logits, verdict and decisions of the hard network; see `verdict`."""
        groups, logits, decisions = self.groups(inputs, labels), [], []
        for group in groups:
            output, units = hard_units(victim, group.padded(group.inputs))
            check_output(output)
            logits.append(group.cut(output))
            decisions.append({name: group.cut(unit) for name, unit in units.items()})
        verdict = self.verdicts(groups, logits, target, ids)
        return Judged(torch.cat(logits), verdict, self.joined(decisions))

    def joined(self, decisions: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
        """Return the decisions of all groups as in `Judged.decisions`."""
        return decisions

    def attacked(self, clean: Judged, labels: Tensor, target: int | None) -> Tensor:
        """Return which samples (B,) bool count as attacked."""
        return torch.ones_like(clean.verdict.fallen)

    def logit_owner(self, inputs: Any) -> Tensor:
        """Return the sample of each row of the logits, (K,) int64."""
        raise NotImplementedError

    def columns(
        self, inputs: Any, labels: Tensor, clean: Tensor, logits: Tensor, attacked: Tensor, target: int | None
    ) -> dict[str, Tensor | list[int]]:
        """Return the task's own columns for B rows, from logits (K, C) before and after an attack."""
        raise NotImplementedError

    def losses(self, inputs: Any, labels: Tensor, logits: Tensor) -> Tensor:
        """Return the cross-entropy of each sample with its labels, (B,)."""
        raise NotImplementedError

    def followed(self, verdict: Verdict) -> dict[str, Tensor]:
        """Return what rows keep of every iterate, by column: (..., B) or (..., B, K) from verdicts (..., B)."""
        return {"history": (~verdict.fallen).double()}

    def counts(
        self,
        victim: Any,
        clean: Any,
        inputs: Any,
        before: Sequence[dict[str, Tensor]],
        after: Sequence[dict[str, Tensor]],
    ) -> ChangeCounts | None:
        """Return how decisions changed from `before` (clean inputs) to `after`, both by group; None without units."""
        by_group = [change_counts(*pair) for pair in zip(before, after, strict=True)]
        counts = [group_counts for group_counts in by_group if group_counts is not None]
        return ChangeCounts(*map(torch.cat, zip(*counts, strict=True))) if counts else None

    def saved(
        self, sample_id: str, clean: Any, labels: Tensor, predictions: Tensor, attempts: Sequence[Attempt]
    ) -> Any:
        """Return what to keep of one sample, of the type `kept`.

        `predictions` are those of the hard network for the clean inputs. There is one attempt per target, or a single
        one in an untargeted attack.
        """
        raise NotImplementedError

    def calls(self, victim: Any, inputs: Any) -> list[Call]:
        """Return the uses of the hard network's gates that are kept with samples, of all samples in `inputs`."""
        return []

    def with_gates(self, sample: Any, calls: Sequence[Sequence[Call]], number: int) -> Any:
        """Return a `saved` sample with what the gates decided for it.

        `calls` are those on the clean inputs and on each attempt, and the sample has the index `number` in them.
        """
        return sample

    def example(self, sample: Any, victim: Any) -> Any:
        """Return the part of a `saved` sample that pictures need."""
        return sample

    def reach(self, clean: Tensor, step: float, eps: float) -> Reach | None:
        """Return how far an attack can move points from their clean positions (R, 3); None in tasks without voxels."""
        return None

    @contextmanager
    def occupied(self, victim: Any) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Yield a list that gets the occupancy (M,) and the sample (M,) of each voxel; empty without."""
        yield []

    @contextmanager
    def measured(self, victim: Any) -> Iterator[Work]:
        """Yield a function that returns the cost of the victim's forward passes in this block; by default empty."""
        yield lambda _: {}


def adapter_named(name: str, ignored_classes: Sequence[int] = ()) -> Adapter:
    """Return the adapter of a task by its registered name, or by `package.module:Class`.

    Raises:
        UnknownNameError: There is no such task.
        ConfigError: The task cannot be imported.
    """
    adapter: Adapter = resolve("adapter", task_named(name).adapter, TASKS)(ignored_classes)
    return adapter


def adapter_of(victim: Any) -> Adapter:
    """Return the adapter of a victim's `task`; without such an attribute, that of image classification."""
    return adapter_named(getattr(victim, "task", "images"))
