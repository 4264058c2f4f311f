"""AutoAttack (Croce & Hein 2020): APGD-CE, APGD-T, FAB-T and Square, one after the other on what still stands.

It is written here because no maintained library runs it under pixel masks, with leaded gradients and a hard verdict,
with a random generator per sample, and targeted within the official protocol's range.
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
        rank: Rank of the class that it aims at among the wrong ones, by the clean image's logits; 0 is the likeliest.
        length: Number of gradients, or of queries.
    """

    member: str
    rank: int
    length: int


class AutoAttack(Attack):
    """The standard ensemble, L-infinity.

    Every member gets only the samples that have not fallen on the hard network yet. Gradients are those of the gradient
    method; Square uses the hard network's scores only. A sample that no member fells is returned as the first member
    left it. Members choose their own step sizes, and always stop working on a sample that has fallen, so `active_set`
    changes nothing.

    Targeted, every member aims at the given class: APGD-T raises minus the DLR of the target, FAB-T looks for the
    boundary to its strongest rival, Square lowers minus its margin.

    Args:
        eps: Largest change of an intensity (see `Attack`).
        step: Must be None: there is no step to choose.
        steps: Gradients of every run of APGD and FAB; the standard is 100.
        queries: Proposals of Square; the standard is 5,000.
        target_classes: Number of classes that APGD-T and FAB-T aim at in turn, the likeliest wrong ones first; the
            standard is 9, or all wrong classes if the victim has fewer.
        members: Which members run, in this order.
        **options: The other options of `Attack`.

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
        for option, value in (("queries", queries), ("target_classes", target_classes), ("members", len(members))):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"AutoAttack needs at least one of {option}, got {value!r}")
        for member in members:
            if member not in MEMBERS:
                raise UnknownNameError("member of AutoAttack", member, MEMBERS)
        self.queries = queries
        self.target_classes = target_classes
        self.members = tuple(members)

    @property
    def has_iterates(self) -> bool:
        """False: each member starts over on the samples that still stand."""
        return False

    def run(self, problem: Problem, trace: Trace, progress: Progress, *, history: bool) -> None:
        if problem.clean.ndim != 4 and "square" in self.members:
            raise ConfigError("Square is an attack on images (B, C, H, W); choose other members of AutoAttack")
        logits = problem.hard_logits(problem.clean)
        problem.adapter.check_logits(logits, problem.labels, problem.target)
        aims = self._aims(problem, logits)
        standing = ~problem.reached(logits)
        trace.felled_by = dict.fromkeys(_ids(problem, ~standing), "clean")
        rounds = self._rounds(aims.shape[1])
        done, total = 0, sum(round_.length for round_ in rounds)
        for number, round_ in enumerate(rounds):
            if not bool(standing.any()):
                break
            part = problem.select(standing)
            adversarial = self._run_member(round_, part, aims[:, round_.rank], _ticks(progress, done, total))
            fallen = part.reached(part.hard_logits(adversarial))
            trace.keep(part, adversarial, fallen | (number == 0), number)
            trace.felled_by |= dict.fromkeys(_ids(part, fallen), round_.member)
            standing[part.samples[fallen]] = False
            done += round_.length
        progress(total, total)

    def _aims(self, problem: Problem, logits: Tensor) -> Tensor:
        """Return the classes (B, T) to aim at: the targets, or the likeliest wrong ones in falling order."""
        if problem.target is not None:
            return problem.target[:, None]
        wrong = logits.masked_fill(F.one_hot(problem.labels, logits.shape[1]).bool(), -torch.inf)
        return wrong.topk(min(self.target_classes, logits.shape[1] - 1), dim=1).indices

    def _rounds(self, aims: int) -> list[Round]:
        """Return the runs in their order, the targeted members once per class."""
        rounds = []
        for member in self.members:
            length = self.queries if member == "square" else self.steps
            ranks = aims if member in ("apgd-t", "fab-t") else 1
            rounds += [Round(member, rank, length) for rank in range(ranks)]
        return rounds

    def _run_member(self, round_: Round, problem: Problem, aim: Tensor, tick: Callable[[], None]) -> Tensor:
        """Return the values after one run on the samples of `problem`; `aim` are the classes of the whole batch."""
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
    """Return a function that reports one more iteration at each call, after `done` of them."""
    count = itertools.count(done + 1)
    return lambda: progress(next(count), total)


def _ids(problem: Problem, rows: Tensor) -> list[str]:
    """Return the ids of the samples that `rows` (B,) bool picks."""
    return [sample for sample, chosen in zip(problem.ids, rows.tolist(), strict=True) if chosen]
