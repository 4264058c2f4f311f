"""AutoAttack (Croce & Hein 2020): APGD-CE, APGD-T, FAB-T and Square, one after the other on the surviving samples.

This is our own code because no maintained library supports pixel masks, leaded gradients with hard verdicts, one random
generator per sample, and targeted attacks in the official protocol's range of intensities.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.attacks.apgd import apgd
from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.budgets import Budget, LinfBall
from lgm_bench.attacks.checks import check_whole
from lgm_bench.attacks.fab import fab
from lgm_bench.attacks.objectives import CrossEntropy, TargetedDLR
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.square import square
from lgm_bench.attacks.trace import Progress, Trace
from lgm_bench.errors import ConfigError, UnknownNameError

MEMBERS = ("apgd-ce", "apgd-t", "fab-t", "square")


class Round(NamedTuple):
    """One run of one member.

    Attributes:
        member: One of `MEMBERS`.
        rank: Rank of the class it aims at among the wrong classes, by the clean logits; 0 is the likeliest.
        length: Number of gradients or queries.
    """

    member: str
    rank: int
    length: int


class AutoAttack(Attack):
    """The standard ensemble, L-infinity.

    Each member attacks only samples that have not fallen on the hard network yet. Gradients are those of the gradient
    method; Square uses only the hard network's scores. A sample that no member fells keeps the first member's result.
    Members choose their own step sizes and always stop at samples that have fallen, so `active_set` changes nothing.

    In a targeted attack every member aims at the given class: APGD-T raises minus the DLR of the target, FAB-T looks
    for the boundary to its strongest rival, and Square raises its margin.

    Args:
        eps: Largest change of an intensity (see `Attack`).
        step: Must be None, since the members choose their step sizes.
        steps: Gradients of each run of APGD and FAB; the standard is 100.
        queries: Proposals of Square; the standard is 5,000.
        target_classes: Number of classes that APGD-T and FAB-T aim at in turn, the likeliest wrong ones first; the
            standard is 9. A victim with fewer wrong classes gets all of them.
        members: Members to run, in order.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: There is no such member.
    """

    name: ClassVar[str] = "autoattack"
    takes_step: ClassVar[bool] = False
    budget: LinfBall

    def __init__(
        self,
        eps: float | Budget,
        step: float | None = None,
        steps: int | None = None,
        *,
        queries: int = 5000,
        target_classes: int = 9,
        members: Sequence[str] = MEMBERS,
        **options: Any,
    ) -> None:
        if step is not None:
            raise ConfigError(f"AutoAttack chooses its step sizes itself, so step must be left out; got {step}")
        super().__init__(eps, steps=steps, **options)
        if type(self.budget) is not LinfBall:
            raise ConfigError(f"AutoAttack works within LinfBall only, got {type(self.budget).__name__}")
        check_whole(1, queries=queries, target_classes=target_classes)
        if not members:
            raise ConfigError(f"AutoAttack needs at least one member of {', '.join(MEMBERS)}, got none")
        for member in members:
            if member not in MEMBERS:
                raise UnknownNameError("member of AutoAttack", member, MEMBERS)
        self.queries = queries
        self.target_classes = target_classes
        self.members = tuple(members)

    @property
    def has_iterates(self) -> bool:
        """False, since each member starts anew on the surviving samples."""
        return False

    def run(self, problem: Problem, trace: Trace, progress: Progress, *, history: bool) -> None:
        if problem.clean.ndim != 4 and "square" in self.members:
            raise ConfigError("Square is an attack on images (B, C, H, W); choose other members of AutoAttack")
        logits = problem.hard_logits(problem.clean)
        problem.adapter.check_logits(logits, problem.labels, problem.target)
        aims = self._aims(problem, logits)
        survives = ~problem.reached(logits)
        trace.felled_by = dict.fromkeys(_ids(problem, ~survives), "clean")
        rounds = self._rounds(aims.shape[1])
        done, total = 0, sum(round_.length for round_ in rounds)
        for number, round_ in enumerate(rounds):
            if not bool(survives.any()):
                break
            rest = problem.select(survives)
            adversarial = self._run_member(round_, rest, aims[:, round_.rank], _ticks(progress, done, total))
            fallen = rest.reached(rest.hard_logits(adversarial))
            trace.keep(rest, adversarial, fallen | (number == 0), number)
            trace.felled_by |= dict.fromkeys(_ids(rest, fallen), round_.member)
            survives[rest.samples[fallen]] = False
            done += round_.length
        progress(total, total)

    def _aims(self, problem: Problem, logits: Tensor) -> Tensor:
        """Return the classes (B, T) to aim at: the targets, or the likeliest wrong classes in descending order."""
        if problem.target is not None:
            return problem.target[:, None]
        wrong = logits.masked_fill(F.one_hot(problem.labels, logits.shape[1]).bool(), -torch.inf)
        return wrong.topk(min(self.target_classes, logits.shape[1] - 1), dim=1).indices

    def _rounds(self, aims: int) -> list[Round]:
        """Return the runs in order, with one run per class for the targeted members."""
        rounds = []
        for member in self.members:
            length = self.queries if member == "square" else self.steps
            ranks = aims if member in ("apgd-t", "fab-t") else 1
            rounds += [Round(member, rank, length) for rank in range(ranks)]
        return rounds

    def _run_member(self, round_: Round, problem: Problem, aim: Tensor, tick: Callable[[], None]) -> Tensor:
        """Return the values after one run on `problem`; `aim` has the classes of the whole batch."""
        stream = f"{self.name}/{round_.member}/{round_.rank}"
        generators = problem.generators(self.seed, stream)
        box = self.budget.around(problem.clean)
        if round_.member == "square":
            return square(problem, box, generators, round_.length, tick)
        if round_.member == "fab-t":
            return fab(problem, aim[problem.samples], box, self.budget.range(problem.clean), round_.length, tick)
        noise = self.budget.noise([1] * len(generators), generators, problem.clean)
        objective = CrossEntropy() if round_.member == "apgd-ce" else TargetedDLR(aim)
        return apgd(problem, self.budget, objective, noise, round_.length, tick)


def _ticks(progress: Progress, done: int, total: int) -> Callable[[], None]:
    """Return a function that reports one more iteration at each call, after the first `done` ones."""
    count = itertools.count(done + 1)
    return lambda: progress(next(count), total)


def _ids(problem: Problem, rows: Tensor) -> list[str]:
    """Return the ids of the samples that are True in `rows` (B,) bool."""
    return [sample for sample, chosen in zip(problem.ids, rows.tolist(), strict=True) if chosen]
