"""What the standard evaluation does with one kind of inputs: its attacks, and the rows that they give."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import torch
from torch import Tensor, nn

from lgm_bench.attacks import trace
from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.budgets import Budget
from lgm_bench.evaluation.store.rows import Outcome, distances
from lgm_bench.leaded import FGM
from lgm_bench.leaded.compute import Costs
from lgm_bench.standard.flags import Flag
from lgm_bench.tasks.adapter import Adapter, Judged
from lgm_bench.tasks.base import Task
from lgm_bench.tasks.images import COMPUTE_COLUMNS

Tick = Callable[[float], None]
"""Takes the share of a batch that is done."""


class Stage(ABC):
    """The attacks on one network, with everything that is decided once for all batches.

    Attributes:
        pilot: Number of samples on which that is decided.
        network: The network.
        adapter: Adapter of its task.
        task: Declares the rows.
        members: Names of the members in their order.
        gradients: Number of gradients for a sample that withstands, of the members as of the control.
        flags: Flags of the pilot samples.
        costs: Cost of each decision of the network; None if it is unknown.
    """

    pilot: ClassVar[int]
    network: nn.Module
    adapter: Adapter
    task: type[Task]
    members: tuple[str, ...]
    gradients: int
    flags: list[Flag]
    costs: Costs | None = None

    @abstractmethod
    def rows(self, batch: Any, tick: Tick) -> pa.Table:
        """Return the rows of a batch (inputs, labels, ids): the verdict of the control, and of all members."""

    def attacked(self, attack: Attack, batch: Any, progress: trace.Progress | None = None) -> trace.AttackResult:
        """Return what an attack does to a batch."""
        inputs, labels, ids = batch
        return attack.attack(
            self.network, inputs, labels, gradient=FGM(), ids=ids, adapter=self.adapter, progress=progress
        )

    def table(
        self,
        batch: Any,
        clean: Judged,
        adversarial: Tensor,
        budget: Budget,
        columns: Mapping[str, Any],
        effort: Mapping[str, Sequence[Any]],
    ) -> pa.Table:
        """Return the rows of a batch, given the values (R, ...) under the worst case.

        Args:
            batch: Inputs, labels and ids.
            clean: Verdict without an attack.
            adversarial: The values.
            budget: What they may be.
            columns: Columns of the standard evaluation with tensors.
            effort: Those with lists.
        """
        (inputs, labels, ids), adapter = batch, self.adapter
        worst = adapter.replaced(inputs, adversarial)
        after = adapter.judged(self.network, worst, labels, None, ids)
        attacked = adapter.attacked(clean, labels, None)
        own = adapter.columns(inputs, labels, clean.logits, after.logits, attacked, None)
        if not self.task.labels_points:  # another pass may predict another class, if the network draws lots
            own["correct"] = torch.tensor([name is None for name in effort["felled_by"]])
        distance, within = distances(adapter, budget, inputs, adversarial)
        outcome = Outcome(
            ids=ids,
            target=None,
            perturbed=attacked,
            attacked=attacked,
            verdict={**own, **columns, **self._compute(clean, after)},
            distance=distance,
            within_bounds=within,
            clean_loss=adapter.losses(inputs, labels, clean.logits),
            adversarial_loss=adapter.losses(inputs, labels, after.logits),
            counts=adapter.counts(self.network, inputs, worst, clean.decisions, after.decisions),
            effort=effort,
        )
        return outcome.table(self.task)

    def _compute(self, clean: Judged, after: Judged) -> dict[str, Tensor]:
        """Return `COMPUTE_COLUMNS`; empty if the cost of the network's decisions is unknown."""
        if self.costs is None:
            return {}
        before, executed = (self.costs.of(judged.decisions[0]) for judged in (clean, after))
        names = [field.name for field in COMPUTE_COLUMNS]
        return dict(zip(names, (before, executed, torch.full_like(before, self.costs.full)), strict=True))


def part(tick: Tick, start: float, share: float) -> trace.Progress:
    """Return what an attack reports to that is a share of the work on a batch, after a start."""
    return lambda i, steps: tick(start + share * i / steps)
