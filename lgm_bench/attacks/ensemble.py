"""Ensembles: attacks of different kinds, one after the other, on the samples that have not fallen yet."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.attacks.apgd import apgd
from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.budgets import Budget, LinfBall
from lgm_bench.attacks.checks import check_whole
from lgm_bench.attacks.fab import fab
from lgm_bench.attacks.objective import Objective
from lgm_bench.attacks.objectives import CrossEntropy, TargetedDLR
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.square import square
from lgm_bench.attacks.trace import Progress, Trace
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod

Kind = Literal["apgd", "apgd-t", "fab-t", "square"]
TARGETED = ("apgd-t", "fab-t")
"""Kinds that aim at one class in each run."""
STREAM = "autoattack"
"""Stream of the random numbers of all ensembles, so that a member draws the same ones in each of them."""


class Round(NamedTuple):
    """One run of one member.

    Attributes:
        member: Name of the member.
        rank: Number of the run. Kinds in `TARGETED` aim at the wrong class of this rank by the clean logits; 0 is the
            likeliest.
        length: Number of steps or queries.
        kind: What the member does.
        objective: What a member of kind "apgd" raises.
        method: Gradient method that the member follows; None: the one that the attack is given.
    """

    member: str
    rank: int
    length: int
    kind: Kind
    objective: Objective = CrossEntropy()
    method: GradientMethod | None = None

    @property
    def gradients(self) -> int:
        """Number of gradients of a run that does not end early; APGD computes one more at its last point."""
        return {"apgd": self.length + 1, "apgd-t": self.length + 1, "fab-t": self.length, "square": 0}[self.kind]


class Ensemble(Attack):
    """Runs members in rounds on the surviving samples. A sample that no member fells keeps the first round's result.

    Members choose their own step sizes and always stop at samples that have fallen, so `active_set` changes nothing.

    Args:
        eps: Largest change of an intensity (see `Attack`).
        step: Must be None, since the members choose their step sizes.
        steps: Steps of each run of APGD and FAB.
        queries: Proposals of Square.
        target_classes: Number of classes that APGD-T and FAB-T aim at in turn, the likeliest wrong ones first. A victim
            with fewer wrong classes gets all of them.

    Raises:
        ConfigError: A value makes no sense.
    """

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
        **options: Any,
    ) -> None:
        if step is not None:
            raise ConfigError(
                f"{type(self).__name__} chooses its step sizes itself, so step must be left out; got {step}"
            )
        super().__init__(eps, steps=steps, **options)
        check_whole(1, queries=queries, target_classes=target_classes)
        self.queries, self.target_classes = queries, target_classes

    @property
    def has_iterates(self) -> bool:
        """False, since each member starts anew on the surviving samples."""
        return False

    def rounds(self, aims: int) -> Sequence[Round]:
        """Return the rounds in order, for a number of classes to aim at."""
        raise NotImplementedError

    def run(self, problem: Problem, trace: Trace, progress: Progress, *, history: bool) -> None:
        logits = problem.hard_logits(problem.clean)
        problem.adapter.check_logits(logits, problem.labels, problem.target)
        aims = self._aims(problem, logits)
        survives = ~problem.reached(logits)
        trace.felled_by = dict.fromkeys(_ids(problem, ~survives), "clean")
        rounds = self.rounds(aims.shape[1])
        if problem.clean.ndim != 4 and any(round_.kind == "square" for round_ in rounds):
            raise ConfigError("Square is an attack on images (B, C, H, W); choose other members")
        done, total = 0, sum(round_.length for round_ in rounds)
        for number, round_ in enumerate(rounds):
            if not bool(survives.any()):
                break
            rest = problem.select(survives)
            aim = aims[:, round_.rank if round_.kind in TARGETED else 0]
            adversarial = self._run_member(round_, rest, aim, _ticks(progress, done, total))
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
        if logits.shape[1] < 2:
            raise ConfigError(
                "the victim gives one logit per sample, so that no other class can win; of a network with two classes "
                "and one logit z, attack one that returns [0, z]"
            )
        wrong = logits.masked_fill(F.one_hot(problem.labels, logits.shape[1]).bool(), -torch.inf)
        return wrong.topk(min(self.target_classes, logits.shape[1] - 1), dim=1).indices

    def _run_member(self, round_: Round, problem: Problem, aim: Tensor, tick: Callable[[], None]) -> Tensor:
        """Return the values after one run on `problem`; `aim` has the classes of the whole batch."""
        generators = problem.generators(self.seed, f"{STREAM}/{round_.member}/{round_.rank}")
        if round_.method is not None:
            problem = replace(problem, method=round_.method)
        if round_.kind == "square":
            return square(problem, generators, round_.length, tick)
        if round_.kind == "fab-t":
            return fab(problem, aim, self.budget, round_.length, tick)
        noise = self.budget.noise([1] * len(generators), generators, problem.clean)
        objective = TargetedDLR(aim) if round_.kind == "apgd-t" else round_.objective
        return apgd(problem, self.budget, objective, noise, round_.length, tick)


def _ticks(progress: Progress, done: int, total: int) -> Callable[[], None]:
    """Return a function that reports one more iteration at each call, after the first `done` ones."""
    count = itertools.count(done + 1)
    return lambda: progress(next(count), total)


def _ids(problem: Problem, rows: Tensor) -> list[str]:
    """Return the ids of the samples that are True in `rows` (B,) bool."""
    return [sample for sample, chosen in zip(problem.ids, rows.tolist(), strict=True) if chosen]
