"""The problem that an attack solves: a victim, a gradient method, samples and the values that these may take."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lgm_bench.attacks.budgets import Region
from lgm_bench.attacks.objective import Objective, Pass
from lgm_bench.attacks.objectives import Compute
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod, hard_forward, recorded_calls
from lgm_bench.leaded.compute import Costs
from lgm_bench.leaded.recording import Call, hard_units
from lgm_bench.tasks.adapter import Adapter, Group, Verdict
from lgm_bench.tasks.checks import check_output


class Evaluation(NamedTuple):
    """Outputs and gradient of the victim at one point, under the gradient method.

    Attributes:
        logits: Logits that entered the objective, (K, C).
        objective: Objective of each sample, (B,).
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
        method: Gradient method, in force only while `evaluate` runs.
        inputs: Clean inputs of the victim.
        labels: Labels of the samples or of their points, int64.
        target: Target classes, (B,) int64; None for an untargeted attack.
        ids: B stable sample ids.
        region: Values that the budget allows.
        eps: Half-width or radius of the budget, see `Reach`.
        step: Size of a step, see `Reach`.
        samples: (B,) int64, indices of the samples in the whole batch.
        rows: (R,) int64, indices of the rows of values in the whole batch.
        spent: (B,) int64 of the whole batch, the gradients computed for each sample so far; `evaluate` counts them.
        broken: (B,) int64 of the whole batch, the rows of gradients that were not finite so far, see `require_finite`.
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
    spent: Tensor
    broken: Tensor

    @cached_property
    def clean(self) -> Tensor:
        """The clean values, (R, ...)."""
        return self.adapter.values(self.inputs)

    @cached_property
    def owner(self) -> Tensor:
        """Sample of each row of the values, (R,) int64."""
        return self.adapter.owner(self.inputs)

    @cached_property
    def groups(self) -> list[Group]:
        """The samples, in groups that go through the network together."""
        return self.adapter.groups(self.inputs, self.labels)

    @cached_property
    def costs(self) -> Costs | None:
        """The cost of each decision of the victim; None if it is unknown."""
        return self.adapter.decision_costs(self.victim, self.inputs, self.labels)

    @property
    def targeted(self) -> bool:
        """Whether the attack is targeted."""
        return self.target is not None

    @property
    def classes(self) -> Tensor:
        """The targets (B,), or the labels in an untargeted attack."""
        return self.labels if self.target is None else self.target

    @property
    def evaluates_hard(self) -> bool:
        """Whether the logits of `evaluate` are those of the hard network."""
        return self.method.shows_hard and self.adapter.scores_outputs

    def project(self, x: Tensor) -> Tensor:
        """Return the nearest allowed values (R, ...)."""
        return self.region.project(x)

    def wide(self, values: Tensor) -> Tensor:
        """Return numbers per sample (B,) in a shape that broadcasts over the values, (R, 1, ..., 1)."""
        return values[self.owner].view(-1, *[1] * (self.clean.ndim - 1))

    def evaluate(self, x: Tensor, objective: Objective) -> Evaluation:
        """Return logits, objective and gradient at x (R, ...), under the gradient method.

        Raises:
            ConfigError: The victim's logits do not fit the labels; or on a CPU, the gradient is not finite.
        """
        self.spent[self.samples] += 1
        parts = [self._evaluated(group, x[group.rows], objective) for group in self.groups]
        if x.device.type == "cpu":  # elsewhere, every step would wait for the answer
            self.require_finite()
        if len(parts) == 1:
            return parts[0]
        logits, values, gradients, costs = zip(*parts, strict=True)
        joined = {name: torch.cat([cost[name] for cost in costs]) for name in costs[0]}
        return Evaluation(torch.cat(logits), torch.cat(values), torch.cat(gradients), joined)

    def judge(self, x: Tensor) -> Verdict:
        """Return the verdict of the hard network on x (R, ...).

        Raises:
            ConfigError: The victim's logits allow no verdict.
        """
        return self.verdict([self._hard(group, x[group.rows]) for group in self.groups])

    def require_finite(self) -> None:
        """Check that all gradients so far were finite.

        Raises:
            ConfigError: One was not.
        """
        broken = [name for name, rows in zip(self.ids, self.broken[self.samples].tolist(), strict=True) if rows]
        if broken:
            raise ConfigError(
                f"the gradient of {len(broken)} samples is not finite (first: {broken[0]!r}) under {self.method!r}; "
                "check the victim's weights, or lower the slope"
            )

    def verdict(self, logits: Sequence[Tensor]) -> Verdict:
        """Return the verdict from logits of the hard network, one tensor per group.

        Raises:
            ConfigError: The logits allow no verdict, or a gradient before was not finite.
        """
        self.require_finite()
        return self.adapter.verdicts(self.groups, logits, self.target, self.ids)

    def judged(self, x: Tensor, objective: Objective) -> tuple[Verdict, Tensor | None]:
        """Return the verdict of the hard network on x (R, ...), and the goal of the objective (B,) if it has one.

        Raises:
            ConfigError: See `judge`.
        """
        if objective.goal is None:
            return self.judge(x), None
        logits, goals = zip(*(self._goal(group, x[group.rows], objective.goal) for group in self.groups), strict=True)
        return self.verdict(logits), torch.cat(goals)

    def hard_logits(self, x: Tensor) -> Tensor:
        """Return the hard network's logits at x (R, ...), group after group."""
        return torch.cat([self._hard(group, x[group.rows]) for group in self.groups])

    def reached(self, logits: Tensor) -> Tensor:
        """Return which samples (B,) bool have fallen, from one row of logits per sample."""
        return self.verdict(self.by_group(logits)).fallen

    def by_group(self, logits: Tensor) -> Sequence[Tensor]:
        """Return the logits of each group, from one row of logits per sample."""
        return [logits[group.samples] for group in self.groups]

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
        """Return the entries of some samples (B,) bool, from a tensor of samples or of rows of values."""
        return values[chosen[self.owner]] if len(values) == len(self.owner) else values[chosen]

    def selected_evaluation(self, evaluation: Evaluation, chosen: Tensor) -> Evaluation:
        """Return the evaluation of some samples only, (B,) bool."""
        logits, objective, gradient = (self.selected(values, chosen) for values in evaluation[:3])
        costs = {name: values[chosen.cpu()] for name, values in evaluation.costs.items()}
        return Evaluation(logits, objective, gradient, costs)

    def generators(self, seed: int, stream: str) -> list[torch.Generator]:
        """Return one random generator per sample, see `sample_generator`."""
        return [sample_generator(seed, sample_id, stream) for sample_id in self.ids]

    def _hard(self, group: Group, x: Tensor) -> Tensor:
        output = hard_forward(self.victim, group.padded(self.adapter.replaced(group.inputs, x)))[0]
        check_output(output)
        return group.cut(output)

    def _goal(self, group: Group, x: Tensor, goal: Compute) -> tuple[Tensor, Tensor]:
        """Return the hard network's logits of a group, and what it computes: the counted operations, or by costs."""
        with self.adapter.measured(self.victim) as work:
            output, decisions = hard_units(self.victim, group.padded(self.adapter.replaced(group.inputs, x)))
        check_output(output)
        logits, n_samples = group.cut(output), len(self.ids[group.samples])
        operations = work(n_samples).get("gflops")
        if operations is not None:
            return logits, goal.sign * operations
        if self.costs is None:
            return logits, torch.zeros(n_samples)
        executed = {name: group.cut(on) for name, on in decisions.items()}
        return logits, goal.value(self.costs, executed, logits, self.classes[group.samples])

    def _evaluated(self, group: Group, x: Tensor, objective: Objective) -> Evaluation:
        adapter, victim = self.adapter, self.victim
        moving = group.padded(x.detach()).requires_grad_()
        inputs = adapter.replaced(group.inputs, moving)
        clean, labels, samples = map(group.padded, (self.clean[group.rows], group.labels, self.samples[group.samples]))
        target = None if self.target is None else group.padded(self.target[group.samples])
        calls: AbstractContextManager[list[Call]] = nullcontext([])
        voxels: AbstractContextManager[list[tuple[Tensor, Tensor]]] = nullcontext([])
        if objective.reads_decisions:
            calls, voxels = recorded_calls(victim), adapter.occupied(victim)
        costs = self.costs if objective.reads_costs else None
        applied = self.method.applied_to(victim, adapter.reach(clean, self.step, self.eps))
        with torch.enable_grad(), applied, adapter.measured(victim) as work, calls as decisions, voxels as occupied:
            logits, labels = adapter.scored(victim, inputs, labels)
            if target is not None:
                adapter.check_logits(logits, labels, self.target)
            owner = adapter.owner(inputs)
            seen = Pass(logits, labels, target, moving, clean, owner, samples, decisions, costs)
            values = objective(seen._replace(voxels=occupied[0]) if occupied else seen)
            values = _per_sample(values, len(samples), objective)
            total = values.sum()
        gradient = torch.zeros_like(x)
        if total.requires_grad:  # without slopes, the features of a voxel do not depend on the points' positions
            (computed,) = torch.autograd.grad(total, moving, allow_unused=True)
            gradient = gradient if computed is None else group.cut(computed)
        unusable = ~gradient.isfinite().flatten(1).all(dim=1)
        self.broken.index_add_(0, samples[owner[: len(unusable)]], unusable.long())
        n_samples = len(samples) - group.padding
        return Evaluation(group.cut(logits.detach()), group.cut(values.detach()), gradient, work(n_samples))


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
    """Turn off the gradients of all parameters of `victim` in this block; their .grad stays as it is."""
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
    """Turn off autocast in this block, so that tensors keep their own precision."""
    with ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def sample_generator(seed: int, sample_id: str, stream: str) -> torch.Generator:
    """Return the CPU generator of one sample in one attack; it does not depend on batch, process or device.

    `stream` is the name of the attack or of a stage of it; each has its own random numbers.

    >>> draw = [float(torch.rand((), generator=sample_generator(0, "test-00042", "pgd"))) for _ in range(2)]
    >>> draw[0] == draw[1]
    True
    """
    digest = hashlib.sha256(f"{seed}\0{stream}\0{sample_id}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))  # CPU generators use 32 bits of a seed
