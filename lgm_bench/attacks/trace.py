"""The iterates of an attack: verdicts, costs, and the result."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.attacks.problem import Evaluation, Problem
from lgm_bench.tasks.adapter import Verdict

Progress = Callable[[int, int], None]
"""Takes (iterations done, iterations of the whole attack)."""


class AttackResult(NamedTuple):
    """Adversarial inputs of B samples, with verdicts and costs of the iterates.

    Attributes:
        adversarial: Images (B, C, H, W) or points (N, 3), on the device and in the dtype of the clean ones.
        kept: (B,) int64, index of the returned iterate of each sample; 0 is the first judged one, or the clean sample.
        scores: (I, B) float64, `Verdict.score` of every judged iterate; see `Attack.attack`.
        fallen: (I, B) bool, `Verdict.fallen` of every judged iterate.
        counts: (I, B, K) int64, `Verdict.counts` of every judged iterate.
        costs: Cost of the forward pass of each gradient, (G, B) by name; empty if the task counts none.
        felled_by: In an ensemble, the member that felled a sample, by id; "clean" if no attack was needed.
        gradients: (B,) int64, on the CPU: gradients that were computed for each sample.
    """

    adversarial: Tensor
    kept: Tensor
    scores: Tensor
    fallen: Tensor
    counts: Tensor
    costs: Mapping[str, Tensor]
    felled_by: Mapping[str, str]
    gradients: Tensor


class Trace:
    """Collects the iterates to return for a batch, and verdicts and costs of all iterates.

    Args:
        problem: The whole batch.
    """

    def __init__(self, problem: Problem) -> None:
        n = len(problem.ids)
        self.adversarial = problem.clean.clone()
        self.kept = torch.zeros(n, dtype=torch.int64)
        self.felled_by: dict[str, str] = {}
        self._spent = problem.spent
        self._goal = torch.full((n,), -torch.inf, dtype=torch.float64)
        nothing = torch.full((n,), torch.inf, dtype=torch.float64), torch.zeros(n, dtype=torch.bool)
        self._latest = self._best = Verdict(*nothing, torch.zeros(n, 0, dtype=torch.int64))
        self._verdicts: list[Verdict] = []
        self._costs: list[dict[str, Tensor]] = []

    @property
    def fallen(self) -> Tensor:
        """(B,) bool, on the CPU: whether any judged iterate of the sample has fallen."""
        return self._best.fallen

    def keep(self, problem: Problem, x: Tensor, chosen: Tensor, iterate: int) -> None:
        """Make the values `x` (R, ...) the result of some of the samples of `problem`, (B',) bool."""
        rows = chosen[problem.owner]
        self.adversarial[problem.rows[rows]] = x[rows]
        self.kept[problem.samples[chosen].cpu()] = iterate

    def judged(self, problem: Problem, verdict: Verdict) -> Tensor:
        """Add a verdict on an iterate of the samples of `problem`; return where (B',) bool it is the best so far.

        The first of equal iterates counts as the best. Samples outside `problem` keep their latest verdict.
        """
        samples = problem.samples.cpu()
        score, fallen, counts = (value.clone() for value in self._latest)
        counts = counts if self._verdicts else counts.new_zeros(len(counts), verdict.counts.shape[1])
        for values, judged in zip((score, fallen, counts), verdict, strict=True):
            values[samples] = judged.cpu()
        self._latest = Verdict(score, fallen, counts)
        better = self._latest.beats(self._best) if self._verdicts else torch.ones_like(fallen)
        self._best = self._latest._replace(
            score=torch.where(better, score, self._best.score), fallen=torch.where(better, fallen, self._best.fallen)
        )
        self._verdicts.append(self._latest)
        return better[samples].to(problem.samples.device)

    def nearer_goal(self, problem: Problem, value: Tensor) -> Tensor:
        """Return where (B',) bool the goal (B',) of the samples of `problem` is at least as high as ever before."""
        samples, value = problem.samples.cpu(), value.double().cpu()
        better = value >= self._goal[samples]
        self._goal[samples] = torch.where(better, value, self._goal[samples])
        return better.to(problem.samples.device)

    def add_costs(self, problem: Problem, evaluation: Evaluation) -> None:
        """Add the costs of one gradient."""
        costs = {}
        for name, values in evaluation.costs.items():
            costs[name] = values.new_zeros(len(self.kept))
            costs[name][problem.samples.cpu()] = values
        self._costs.append(costs)

    @property
    def iterates(self) -> int:
        """Number of iterates that have been judged."""
        return len(self._verdicts)

    def result(self) -> AttackResult:
        """Return everything collected so far."""
        judged = Verdict(*(value[None][:0] for value in self._latest))
        if self._verdicts:
            judged = Verdict(*map(torch.stack, zip(*self._verdicts, strict=True)))
        names = self._costs[0] if self._costs else ()
        costs = {name: torch.stack([cost[name] for cost in self._costs]) for name in names}
        return AttackResult(self.adversarial, self.kept, *judged, costs, self.felled_by, self._spent.cpu())
