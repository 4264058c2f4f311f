"""What an attack did, iterate by iterate."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.attacks.problem import Evaluation, Problem
from lgm_bench.tasks.adapter import Verdict

Progress = Callable[[int, int], None]
"""Takes (iterations done, iterations of the whole attack)."""


class AttackResult(NamedTuple):
    """Adversarial inputs of B samples, and how they came about.

    Attributes:
        adversarial: Images (B, C, H, W) or points (N, 3), on the device and in the dtype of the clean ones.
        kept: (B,) int64, the iterate that each sample was left at; 0 is the first one judged, or the clean one.
        scores: (I, B) float64, `Verdict.score` of every iterate that was judged; see `Attack.attack`.
        fallen: (I, B) bool, `Verdict.fallen` of them.
        costs: What each gradient's forward pass cost, (G, B) by name; nothing where it is not counted.
        felled_by: In an ensemble, the member that felled a sample, by id; "clean" where nothing was needed.
    """

    adversarial: Tensor
    kept: Tensor
    scores: Tensor
    fallen: Tensor
    costs: Mapping[str, Tensor]
    felled_by: Mapping[str, str]


class Trace:
    """Collects iterates of a batch, what the hard network makes of them, and what they cost.

    Args:
        problem: The whole batch.
    """

    def __init__(self, problem: Problem) -> None:
        n = len(problem.ids)
        self.adversarial = problem.clean.clone()
        self.kept = torch.zeros(n, dtype=torch.int64)
        self.felled_by: dict[str, str] = {}
        nothing = torch.full((n,), torch.inf, dtype=torch.float64), torch.zeros(n, dtype=torch.bool)
        self._latest, self._best = Verdict(*nothing), Verdict(*nothing)
        self._verdicts: list[Verdict] = []
        self._costs: list[dict[str, Tensor]] = []

    @property
    def fallen(self) -> Tensor:
        """(B,) bool, on the CPU: whether any judged iterate of the sample has fallen."""
        return self._best.fallen

    def keep(self, problem: Problem, x: Tensor, chosen: Tensor, iterate: int) -> None:
        """Take the values `x` (R, ...) of some of the samples of `problem`, (B',) bool, as what is handed back."""
        rows = chosen[problem.owner]
        self.adversarial[problem.rows[rows]] = x[rows]
        self.kept[problem.samples[chosen].cpu()] = iterate

    def judged(self, problem: Problem, verdict: Verdict) -> Tensor:
        """Take a verdict about an iterate of the samples of `problem`; return where (B',) bool it is the best so far.

        Of equals, the first is the best. Samples that are no longer worked on keep their verdict.
        """
        samples = problem.samples.cpu()
        score, fallen = (value.clone() for value in self._latest)
        score[samples], fallen[samples] = verdict.score.cpu(), verdict.fallen.cpu()
        self._latest = Verdict(score, fallen)
        better = self._latest.beats(self._best) if self._verdicts else torch.ones_like(fallen)
        self._best = Verdict(*(torch.where(better, a, b) for a, b in zip(self._latest, self._best, strict=True)))
        self._verdicts.append(self._latest)
        return better[samples].to(problem.samples.device)

    def spent(self, problem: Problem, evaluation: Evaluation) -> None:
        """Take what a gradient cost."""
        costs = {}
        for name, values in evaluation.costs.items():
            costs[name] = values.new_zeros(len(self.kept))
            costs[name][problem.samples.cpu()] = values
        self._costs.append(costs)

    @property
    def iterates(self) -> int:
        """How many iterates have been judged."""
        return len(self._verdicts)

    def result(self) -> AttackResult:
        """Return what was kept."""
        n = len(self.kept)
        scores, fallen = torch.zeros(0, n, dtype=torch.float64), torch.zeros(0, n, dtype=torch.bool)
        if self._verdicts:
            scores, fallen = map(torch.stack, zip(*self._verdicts, strict=True))
        names = self._costs[0] if self._costs else ()
        costs = {name: torch.stack([cost[name] for cost in self._costs]) for name in names}
        return AttackResult(self.adversarial, self.kept, scores, fallen, costs, self.felled_by)


class Ticks:
    """Counts iterations of a part of an attack, and reports them within the whole.

    Args:
        progress: What they are reported to.
        done: Iterations before this part.
        total: Iterations of the whole attack.
    """

    def __init__(self, progress: Progress, done: int, total: int) -> None:
        self.progress, self.done, self.total = progress, done, total

    def __call__(self) -> None:
        """Count one more iteration."""
        self.done += 1
        self.progress(self.done, self.total)

    def finish(self) -> None:
        """Report that nothing is left to do."""
        self.progress(self.total, self.total)
