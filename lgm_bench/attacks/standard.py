"""The standard evaluation: what its members are, and the control beside it.

`standard-1` is AutoAttack for networks that decide. A network without gates gets AutoAttack itself. One with gates gets
the same members, and APGD under every gradient method besides. docs/standard_evaluation.md says how members and
constants were chosen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lgm_bench.attacks.autoattack import MEMBERS
from lgm_bench.attacks.budgets import Budget
from lgm_bench.attacks.ensemble import TARGETED, Ensemble, Kind, Round
from lgm_bench.attacks.objective import Objective
from lgm_bench.attacks.objectives import CrossEntropy, ExitCrossEntropy
from lgm_bench.leaded import FGM, GradientMethod, automatic_slopes, gradient_named, recorded_calls
from lgm_bench.leaded.gates import Halting, Occupancy, TopK
from lgm_bench.leaded.gradient import Unit

VERSION = "standard-1"
ALWAYS_ON = "always-on"
PILOT_STEPS, LARGE_STEPS = 10, 20
HELD_ON = (Occupancy, TopK, Halting)
"""Gates whose decisions can all be on at once. Of exits and of experts only one answers."""


@dataclass(frozen=True)
class Schedule:
    """How much a budget of the standard evaluation does for a sample that does not fall.

    Attributes:
        name: Name of the budget.
        steps: Steps of each run of APGD and FAB.
        target_classes: Number of classes that targeted members aim at in turn.
        queries: Proposals of Square.
        gradients: Gradient methods under which APGD-CE runs on a network with gates.
        targeted: Those under which APGD-T does.
        fab: Whether FAB-T runs on a network with gates; on one without, it always does.
    """

    name: str
    steps: int
    target_classes: int
    queries: int
    gradients: tuple[str, ...]
    targeted: tuple[str, ...]
    fab: bool


SCHEDULES = {
    schedule.name: schedule
    for schedule in (
        Schedule(
            "standard", 100, 9, 5000,
            gradients=(
                "fgm", "lgm@20", "lgm@6", "lgm@1.5", "soft@20", "soft@6", "soft@1.5", "straight-through@20",
                "straight-through@6", "straight-through@1.5",
            ),
            targeted=("fgm", "lgm@20", "soft@6", "straight-through@6"),
            fab=True,
        ),
        Schedule(
            "standard-fast", 40, 5, 1000,
            gradients=("fgm", "lgm@20", "lgm@1.5", "soft@6", "straight-through@20"),
            targeted=("fgm", "lgm@20", "soft@6", "straight-through@20"),
            fab=False,
        ),
    )
}  # fmt: skip
"""The two budgets by name.

After a gradient method stands the slope of each gate, times the root mean square of its margins on the pilot samples.
"""


class AlwaysOn(GradientMethod):
    """The twin of a network that never saves anything: every decision in `HELD_ON` gates is on, and a constant."""

    name = ALWAYS_ON
    softens = False

    def __init__(self) -> None:
        self.slope, self.voxels = None, None

    def units_of(self, victim: nn.Module) -> dict[str, Unit]:
        """Return the gates whose decisions can all be on, by name; there may be none."""
        return {name: module for name, module in victim.named_modules() if isinstance(module, HELD_ON)}

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:
        return torch.ones_like(hard)


class Member(NamedTuple):
    """A member of the standard evaluation; attributes as those of `Round`, with the gradient method by its name."""

    name: str
    kind: Kind
    gradient: str = "fgm"
    objective: Objective = CrossEntropy()


def members_of(network: nn.Module, images: Tensor, schedule: Schedule) -> list[Member]:
    """Return the members for a network in eval mode, in their default order; Square is the last.

    Args:
        network: The network.
        images: Some clean images (B, C, H, W), which show what gates are used.
        schedule: The budget of the evaluation.
    """
    with torch.no_grad(), recorded_calls(network) as calls:
        network(images)
    units = [call.unit for call in calls]
    gradients = schedule.gradients if units else ("fgm",)
    members = [Member(member_name("apgd-ce", gradient), "apgd", gradient) for gradient in gradients]
    if any(isinstance(unit, HELD_ON) for unit in units):
        members.append(Member(member_name("apgd-ce", ALWAYS_ON), "apgd", ALWAYS_ON))
    outputs = [call.outputs for call in calls if call.outputs is not None]
    if len(outputs) == 1:  # what a loss of single exits needs
        members.append(Member("apgd-exits", "apgd", objective=ExitCrossEntropy()))
        exits = range(outputs[0].shape[1])
        members += [Member(f"apgd-exit-{number}", "apgd", objective=ExitCrossEntropy(number)) for number in exits]
    targeted = schedule.targeted if units else ("fgm",)
    members += [Member(member_name("apgd-t", gradient), "apgd-t", gradient) for gradient in targeted]
    members += [Member("fab-t", "fab-t")] * (schedule.fab or not units)
    members.append(Member("square", "square"))
    return members


def methods_of(network: nn.Module, members: Sequence[Member], images: Tensor) -> dict[str, GradientMethod]:
    """Return the gradient methods of members by name, with slopes measured on clean images.

    Raises:
        ConfigError: A unit's slope cannot be measured on images.
    """
    return {
        member.gradient: AlwaysOn() if member.gradient == ALWAYS_ON else method_named(network, member.gradient, images)
        for member in members
    }


def method_named(network: nn.Module, name: str, inputs: Any) -> GradientMethod:
    """Return the gradient method of a name such as "lgm@20", with slopes measured on clean inputs.

    Raises:
        ConfigError: A unit's slope cannot be measured on the inputs.
    """
    kind, _, constant = name.partition("@")
    method = gradient_named(kind)
    if constant:
        method.slope = automatic_slopes(network, inputs, float(constant))
    return method


class Standard(Ensemble):
    """The members of the standard evaluation, one after the other on the samples that still stand.

    Args:
        eps: See `Attack`.
        schedule: The budget of the evaluation.
        members: Members in the order in which they run.
        methods: Gradient methods of the members by name.
        options: Those of `Attack`.
    """

    name: ClassVar[str] = "standard"

    def __init__(
        self,
        eps: float | Budget,
        schedule: Schedule,
        members: Sequence[Member],
        methods: Mapping[str, GradientMethod],
        **options: Any,
    ) -> None:
        sizes = {"queries": schedule.queries, "target_classes": schedule.target_classes}
        super().__init__(eps, steps=schedule.steps, **sizes, **options)
        self.members, self.methods = tuple(members), dict(methods)

    def rounds(self, aims: int) -> list[Round]:
        """Return the runs in order, with one run per class for the targeted members."""
        found = []
        for name, kind, gradient, objective in self.members:
            length = self.queries if kind == "square" else self.steps
            ranks = range(aims if kind in TARGETED else 1)
            found += [Round(name, rank, length, kind, objective, self.methods[gradient]) for rank in ranks]
        return found

    def gradients(self, classes: int) -> int:
        """Return the number of gradients for a sample that does not fall, of a network with so many classes."""
        return sum(round_.gradients for round_ in self.rounds(min(self.target_classes, classes - 1)))


class Control(Ensemble):
    """The control: the runs of the standard evaluation, all under FGM, each from its own random start.

    Only the gradients differ, so losses of exits become the cross-entropy, and Square, which follows none, is left out.
    The first run is "apgd-ce", whose result is that of FGM alone.

    Args:
        standard: The evaluation that it is compared with.
    """

    name: ClassVar[str] = "control"

    def __init__(self, standard: Standard) -> None:
        super().__init__(
            standard.budget, steps=standard.steps, target_classes=standard.target_classes, seed=standard.seed
        )
        self.standard = standard

    def rounds(self, aims: int) -> list[Round]:
        """Return the runs; their gradients add up to those of the standard evaluation."""
        found = [
            round_._replace(objective=CrossEntropy(), method=FGM())
            for round_ in self.standard.rounds(aims)
            if round_.kind != "square"
        ]
        return sorted(found, key=lambda round_: round_.member != "apgd-ce")


def pilot(
    attack: Standard, network: nn.Module, images: Tensor, labels: Tensor, ids: Sequence[str]
) -> dict[str, Tensor]:
    """Return which of a few samples (B,) bool fall to each member by itself in a short run, by the member's name.

    Samples that the network gets wrong without an attack do not count. Square, which comes last in any case, is left
    out, and targeted members aim at the likeliest wrong class only.
    """
    short = Schedule("pilot", PILOT_STEPS, 1, 1, (), (), fab=False)
    fallen = {}
    for member in attack.members:
        if member.kind != "square":
            alone = Standard(attack.budget, short, [member], attack.methods, seed=attack.seed)
            felled_by = alone.attack(network, images, labels, ids=ids).felled_by
            fallen[member.name] = torch.tensor([felled_by.get(name) == member.name for name in ids])
    return fallen


def in_order(members: Sequence[Member], fallen: Mapping[str, Tensor]) -> list[Member]:
    """Return the members in the order in which they should run, given which pilot samples each one fells.

    Next comes the member that fells most of the samples that still stand; of equal ones, the first. Members without a
    pilot run, such as Square, come last.
    """
    rest = [member for member in members if member.name in fallen]
    ordered: list[Member] = []
    down = torch.zeros_like(next(iter(fallen.values())))
    while rest:
        best = max(rest, key=lambda member: int((fallen[member.name] & ~down).sum()))  # the first of equal ones
        down |= fallen[best.name]
        rest.remove(best)
        ordered.append(best)
    return ordered + [member for member in members if member.name not in fallen]


def member_name(kind: str, gradient: str) -> str:
    """Return the name of a run of a kind of attack under a gradient method, such as "apgd-ce/lgm@20"."""
    return kind if gradient == "fgm" else f"{kind}/{gradient}"


def is_static(names: Iterable[str]) -> bool:
    """Return whether members of these names are those of AutoAttack, which networks without gates get."""
    return set(names) <= set(MEMBERS)
