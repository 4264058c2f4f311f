"""Flags: signs that the numbers of an evaluation cannot be trusted, each with its evidence.

They are looked for on the pilot samples, the first ones of the data.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from datamodules.batch import ImageBatch, PointBatch
from lgm_bench.attacks.budgets import Budget, L2Ball
from lgm_bench.attacks.objectives import CrossEntropy
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.standard import LARGE_STEPS, Schedule, Standard
from lgm_bench.attacks.standard_points import StandardPoints
from lgm_bench.leaded import check, hard_forward
from lgm_bench.leaded.gates import Gate
from lgm_bench.standard.averaged import Averaged
from lgm_bench.tasks.adapter import Adapter

RANDOM = "not deterministic"
"""Name of the flag of networks that draw lots."""
ROUNDING = 1e-5
"""Share of the largest logit by which two passes may differ without a flag: a GPU may add in another order."""
FAR_BELOW = 0.1
"""Share of the pilot samples by which the worst case may lie below the best single member without a flag."""


class Flag(NamedTuple):
    """A sign that numbers cannot be trusted.

    Attributes:
        name: Such as "zero gradients".
        evidence: What was found, in a sentence with its numbers.
    """

    name: str
    evidence: str


def pilot_flags(network: nn.Module, batch: ImageBatch, attack: Standard, fallen: Mapping[str, Tensor]) -> list[Flag]:
    """Return the flags that the pilot samples raise; `fallen` has what each member fells in a short run."""
    images, labels, _ = batch
    with torch.no_grad():
        right = network(images).argmax(dim=1) == labels
    found = [] if isinstance(network, Averaged) else list(_gates(network, images, labels))
    if bool(right.any()):
        some = ImageBatch(images[right], labels[right], [name for name, ok in zip(batch.ids, right, strict=True) if ok])
        single = {name: down[right.cpu()] for name, down in fallen.items()}
        found += [*_zero(_problems(network, some, attack), "images"), *_single(single), *_large(network, some, attack)]
    return found


def cloud_flags(network: nn.Module, adapter: Adapter, batch: PointBatch, attack: StandardPoints) -> list[Flag]:
    """Return the flags that the pilot clouds raise."""
    what = "points" if adapter.task.labels_points else "shapes"
    found = random_flag(network, batch.cloud, what, "gradients are those of single passes")
    return found + list(_zero(_problems(network, batch, attack, adapter), f"{adapter.task.sample}s"))


def random_flag(network: nn.Module, inputs: Any, what: str, meaning: str) -> list[Flag]:
    """Return a flag if a network gives other outputs for the same inputs (B, ...) the second time, beyond rounding.

    `what` is a word for what gets an output, and `meaning` says what it means for the evaluation.
    """
    first, second = (hard_forward(network, inputs)[0] for _ in range(2))
    differ = int(((first - second).abs() > ROUNDING * first.abs().max()).any(dim=1).sum())
    if not differ:
        return []
    changed = int((first.argmax(dim=1) != second.argmax(dim=1)).sum())
    evidence = (
        f"two forward passes differ for {differ} of {len(first)} {what}, by up to {(first - second).abs().max():.3g}, "
        f"and predict another class for {changed}; {meaning}"
    )
    return [Flag(RANDOM, evidence)]


def _problems(
    network: nn.Module,
    batch: ImageBatch | PointBatch,
    attack: Standard | StandardPoints,
    adapter: Adapter | None = None,
) -> dict[str, Problem]:
    """Return the problem of a batch under each gradient method of the members, by its name."""
    inputs, labels, ids = batch
    return {
        name: attack.problem(network, inputs, labels, gradient=method, ids=ids, adapter=adapter)
        for name, method in attack.methods.items()
    }


def _gates(network: nn.Module, images: Tensor, labels: Tensor) -> Iterator[Flag]:
    if not any(isinstance(module, Gate) for module in network.modules()):
        return
    found = check(network, images, labels)
    for problem in found.problems:
        yield Flag("gates", problem)
    constant = [unit.name for unit in found.units if not unit.varies]
    if constant and len(constant) < len(found.units):
        shown = ", ".join(constant[:3]) + (f" and {len(constant) - 3} more" if len(constant) > 3 else "")
        yield Flag(
            "constant gates",
            f"{len(constant)} of {len(found.units)} gates decide the same for all of {len(images)} images: {shown}",
        )


def _zero(problems: Mapping[str, Problem], samples: str) -> Iterator[Flag]:
    """Yield a flag if the cross-entropy of a sample has no gradient at all, as AutoAttack's own check does.

    Args:
        problems: The same samples under each gradient method, by its name.
        samples: Word for them.
    """
    none = {name: _without_gradient(problem) for name, problem in problems.items()}
    if none["fgm"]:
        others = ", ".join(f"{count} under {name}" for name, count in none.items() if name != "fgm")
        yield Flag(
            "zero gradients",
            f"the gradient of {none['fgm']} of {len(problems['fgm'].ids)} {samples} is exactly 0 under FGM"
            + f" ({others})" * bool(others),
        )


def _without_gradient(problem: Problem) -> int:
    moves = (problem.evaluate(problem.clean, CrossEntropy()).gradient != 0).flatten(1).any(dim=1)
    moving = torch.zeros_like(problem.samples).index_add(0, problem.owner, moves.to(torch.int64))
    return int((moving == 0).sum())


def _single(fallen: Mapping[str, Tensor]) -> Iterator[Flag]:
    down = torch.stack(list(fallen.values()))
    alone, together = down.double().mean(dim=1), down.any(dim=0).double().mean().item()
    best = int(alone.argmax())
    if together - alone[best].item() > FAR_BELOW:
        yield Flag(
            "members disagree",
            f"of {down.shape[1]} images, the best member alone ({list(fallen)[best]}) leaves "
            f"{1 - alone[best]:.1%} and all of them together leave {1 - together:.1%} in a short run: no single "
            "gradient sees the whole network, and members that are not here may find more",
        )


def _large(network: nn.Module, batch: ImageBatch, attack: Standard) -> Iterator[Flag]:
    """Yield a flag if images withstand a change so large that every image can become any other one's average."""
    eps = everything(attack.budget, batch.images)
    if eps <= attack.eps:
        return
    members = [member for member in attack.members if member.kind == "apgd"]
    schedule = Schedule("pilot", LARGE_STEPS, 1, 1, (), (), fab=False)
    large = Standard(attack.budget.resized(eps), schedule, members, attack.methods, seed=attack.seed)
    felled_by = large.attack(network, *batch[:2], ids=batch.ids).felled_by
    standing = len(batch.ids) - len(felled_by)
    if standing:
        yield Flag(
            "large eps",
            f"{standing} of {len(batch.ids)} images withstand APGD of {LARGE_STEPS} steps even with eps {eps:.3g}, at "
            "which any image can be turned grey: the gradients are masked",
        )


def everything(budget: Budget, images: Tensor) -> float:
    """Return an eps at which any network should fail: any image can become plain grey."""
    return budget.everything * (images[0].numel() ** 0.5 if isinstance(budget, L2Ball) else 1.0)


def square_flag(felled_by: Sequence[str | None]) -> list[Flag]:
    """Return a flag if Square, which follows no gradient, fells images that no gradient fells."""
    alone, standing = felled_by.count("square"), felled_by.count(None)
    if not alone:
        return []
    return [
        Flag(
            "Square is better",
            f"Square, which follows no gradient, fells {alone} of the {alone + standing} images that every gradient "
            "leaves: the gradients are masked or too noisy",
        )
    ]
