"""The problem that an attack solves: a victim, a gradient to follow, samples, and the values that they may take."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lgm_bench.attacks.budgets import Region
from lgm_bench.attacks.objectives import Objective, Pass
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod, hard_forward, recorded_calls
from lgm_bench.leaded.compute import Costs, decision_costs
from lgm_bench.leaded.recording import Call
from lgm_bench.tasks.adapter import Adapter, Group, Verdict
from lgm_bench.tasks.checks import check_output


class Evaluation(NamedTuple):
    """The victim at one place, under the gradient method.

    Attributes:
        logits: Logits that the objective took, (K, C).
        objective: (B,), the objective of each sample.
        gradient: Gradient of the summed objective with respect to the values, (R, ...).
        costs: Cost of the forward pass, (B,) by name.
    """

    logits: Tensor
    objective: Tensor
    gradient: Tensor
    costs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """Samples to attack: a batch, or some of it.

    Attributes:
        adapter: Adapter of the victim's task.
        victim: In eval mode.
        method: The gradient method, in force only while `evaluate` runs.
        inputs: What the victim takes, clean.
        labels: Of the samples, or of their points; int64.
        target: Classes wanted, (B,) int64; None is an untargeted attack.
        ids: B stable sample ids.
        region: The values that the inputs may take.
        eps: Half-width or radius of the budget, see `Reach`.
        step: Size of a step, see `Reach`.
        samples: (B,) int64, places of the samples in the whole batch.
        rows: (R,) int64, places of the rows of their values in the whole batch's.
    """

    adapter: Adapter
    victim: nn.Module
    method: GradientMethod
    inputs: Any
    labels: Tensor
    target: Tensor | None
    ids: tuple[str, ...]
    region: Region
    eps: float
    step: float
    samples: Tensor
    rows: Tensor

    @cached_property
    def clean(self) -> Tensor:
        """The clean values, (R, ...)."""
        return self.adapter.values(self.inputs)

    @cached_property
    def owner(self) -> Tensor:
        """The sample of each row of the values, (R,) int64."""
        return self.adapter.owner(self.inputs)

    @cached_property
    def groups(self) -> list[Group]:
        """The samples in the groups that go through the network together."""
        return self.adapter.groups(self.inputs, self.labels)

    @cached_property
    def costs(self) -> Costs | None:
        """What each decision of the victim costs; None where that is not known."""
        first = torch.zeros(1, dtype=torch.int64, device=self.labels.device)
        return decision_costs(self.victim, self.adapter.select(self.inputs, self.labels, first)[0])

    @property
    def targeted(self) -> bool:
        """Whether the attack is targeted."""
        return self.target is not None

    @property
    def classes(self) -> Tensor:
        """The targets (B,), or the labels of an untargeted attack."""
        return self.labels if self.target is None else self.target

    @property
    def evaluates_hard(self) -> bool:
        """Whether the logits of `evaluate` are those of the hard network."""
        return self.method.shows_hard and self.adapter.scores_outputs

    @property
    def unevaluated(self) -> Evaluation:
        """An evaluation of zeros, for attacks that take no gradient."""
        nothing = self.clean.new_zeros(len(self.ids))
        return Evaluation(nothing[:, None], nothing, torch.zeros_like(self.clean), {})

    def project(self, x: Tensor) -> Tensor:
        """Return the nearest values (R, ...) that are allowed."""
        return self.region.project(x)

    def wide(self, values: Tensor) -> Tensor:
        """Return one number per sample (B,) in a shape that broadcasts over the values, (R, 1, ..., 1)."""
        return values[self.owner].view(-1, *[1] * (self.clean.ndim - 1))

    def evaluate(self, x: Tensor, objective: Objective) -> Evaluation:
        """Return logits, objective and its gradient at x (R, ...), under the gradient method.

        Raises:
            ConfigError: The gradient is not finite, or the victim's logits do not fit the labels.
        """
        parts = [self._evaluated(group, x[group.rows], objective) for group in self.groups]
        if len(parts) == 1:
            return parts[0]
        logits, values, gradients, costs = zip(*parts, strict=True)
        joined = {name: torch.cat([cost[name] for cost in costs]) for name in costs[0]}
        return Evaluation(torch.cat(logits), torch.cat(values), torch.cat(gradients), joined)

    def judge(self, x: Tensor) -> Verdict:
        """Return the hard network's verdict about x (R, ...).

        Raises:
            ConfigError: The victim's logits allow no verdict.
        """
        return self.verdict([self._hard(group, x[group.rows]) for group in self.groups])

    def verdict(self, logits: Sequence[Tensor]) -> Verdict:
        """Return the verdict of the hard network's logits, one tensor for each group."""
        return self.adapter.verdicts(self.groups, logits, self.target, self.ids)

    def hard_logits(self, x: Tensor) -> Tensor:
        """Return the hard network's logits at x (R, ...), group after group."""
        return torch.cat([self._hard(group, x[group.rows]) for group in self.groups])

    def reached(self, logits: Tensor) -> Tensor:
        """Return which samples (B,) bool have fallen, for a task with a single group."""
        return self.verdict([logits]).fallen

    def select(self, chosen: Tensor) -> "Problem":
        """Return the problem of some samples only, (B,) bool."""
        rows, samples = chosen[self.owner], chosen.nonzero().squeeze(1)
        inputs, labels = self.adapter.select(self.inputs, self.labels, samples)
        return replace(
            self,
            inputs=inputs,
            labels=labels,
            target=None if self.target is None else self.target[chosen],
            ids=tuple(self.ids[row] for row in samples.tolist()),
            region=self.region.select(rows),
            samples=self.samples[chosen],
            rows=self.rows[rows],
        )

    def selected(self, values: Tensor, chosen: Tensor) -> Tensor:
        """Return the entries of some samples (B,) bool of a tensor that has samples or rows of values first."""
        return values[chosen[self.owner]] if len(values) == len(self.owner) else values[chosen]

    def selected_evaluation(self, evaluation: Evaluation, chosen: Tensor) -> Evaluation:
        """Return the evaluation of some samples only, (B,) bool."""
        logits, objective, gradient = (self.selected(values, chosen) for values in evaluation[:3])
        costs = {name: values[chosen.cpu()] for name, values in evaluation.costs.items()}
        return Evaluation(logits, objective, gradient, costs)

    def generators(self, seed: int, stream: str) -> list[torch.Generator]:
        """Return a generator for each sample, see `sample_generator`."""
        return [sample_generator(seed, sample_id, stream) for sample_id in self.ids]

    def _hard(self, group: Group, x: Tensor) -> Tensor:
        output = hard_forward(self.victim, self.adapter.replaced(group.inputs, x))[0]
        check_output(output)
        return output

    def _evaluated(self, group: Group, x: Tensor, objective: Objective) -> Evaluation:
        adapter, victim, ids = self.adapter, self.victim, self.ids[group.samples]
        clean, target = self.clean[group.rows], None if self.target is None else self.target[group.samples]
        moving = x.detach().requires_grad_()
        inputs = adapter.replaced(group.inputs, moving)
        calls: AbstractContextManager[list[Call]] = nullcontext([])
        if objective.reads_decisions:
            calls = recorded_calls(victim)
        costs = self.costs if objective.reads_costs else None
        applied = self.method.applied_to(victim, adapter.reach(clean, self.step, self.eps))
        with torch.enable_grad(), applied, adapter.measured(victim) as work, calls as decisions:
            logits, labels = adapter.scored(victim, inputs, group.labels)
            if target is not None:
                adapter.check_logits(logits, labels, target)
            owner = adapter.owner(group.inputs)
            samples = self.samples[group.samples]
            values = objective(Pass(logits, labels, target, moving, clean, owner, samples, decisions, costs))
            values = _per_sample(values, len(ids), objective)
            total = values.sum()
        gradient = torch.zeros_like(x)
        if total.requires_grad:  # without slopes, colours do not depend on where their points are
            (found,) = torch.autograd.grad(total, moving, allow_unused=True)
            gradient = gradient if found is None else found
        self._check_finite(gradient, owner, ids)
        return Evaluation(logits.detach(), values.detach(), gradient, work(len(ids)))

    def _check_finite(self, gradient: Tensor, owner: Tensor, ids: Sequence[str]) -> None:
        finite = gradient.isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            bad = sorted(set(owner[~finite].tolist()))
            raise ConfigError(
                f"the gradient of {len(bad)} samples is not finite (first: {ids[bad[0]]!r}) under {self.method!r}; "
                "check the victim's weights, or lower the slope"
            )


def _per_sample(values: Tensor, n_samples: int, objective: Objective) -> Tensor:
    if values.shape == (n_samples,):
        return values
    if n_samples == 1:
        return values.sum()[None]
    raise ConfigError(
        f"{type(objective).__name__} gave values of shape {tuple(values.shape)}, expected one per sample, {n_samples}"
    )


@contextmanager
def frozen(victim: nn.Module) -> Iterator[None]:
    """Let no parameter of `victim` require a gradient in this block; their .grad is never touched."""
    thawed = [parameter for parameter in victim.parameters() if parameter.requires_grad]
    for parameter in thawed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in thawed:
            parameter.requires_grad_(True)


@contextmanager
def without_autocast() -> Iterator[None]:
    """Compute in the tensors' own precision in this block."""
    with ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def sample_generator(seed: int, sample_id: str, stream: str) -> torch.Generator:
    """Return the CPU generator of one sample in one attack, whatever its batch, process and device.

    Args:
        seed: Seed of the run.
        sample_id: Stable id of the sample in its data set.
        stream: Name of the attack, or of a part of it; each draws its own numbers.

    >>> draw = [float(torch.rand((), generator=sample_generator(0, "test-00042", "pgd"))) for _ in range(2)]
    >>> draw[0] == draw[1]
    True
    """
    digest = hashlib.sha256(f"{seed}\0{stream}\0{sample_id}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))  # CPU generators use 32 bits of a seed
