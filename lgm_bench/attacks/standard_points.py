"""The standard evaluation of point clouds: runs of Point-BIM under one gradient method after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from lgm_bench.attacks.attack import State
from lgm_bench.attacks.budgets import Cubes
from lgm_bench.attacks.point_attacks import PointBIM
from lgm_bench.attacks.problem import Problem
from lgm_bench.attacks.standard import member_name, method_named
from lgm_bench.attacks.trace import Progress, Trace
from lgm_bench.leaded import GradientMethod
from lgm_bench.leaded.gradient import Unit
from lgm_bench.voxels import PointCloud, Reach
from lgm_bench.voxels.voxelization import SLOPE

STREAM = "standard"


@dataclass(frozen=True)
class PointSchedule:
    """How much a budget of the standard evaluation does for a cloud.

    Attributes:
        name: Name of the budget.
        steps: Steps, and so gradients, of each run of Point-BIM.
        gradients: Gradient methods, in the order in which they run. After a method stands the slope in units of one
            over the width in which points can move: eps, or a voxel if that is less.
        starts: Number of runs under each of them: the first from the clean cloud, the others from random points.
    """

    name: str
    steps: int
    gradients: tuple[str, ...]
    starts: int


POINT_SCHEDULES = {
    schedule.name: schedule
    for schedule in (
        PointSchedule(
            "standard", 50, ("lgm@10", "fgm", "straight-through@10", "lgm@40", "straight-through@40", "soft@10"), 2
        ),
        PointSchedule("standard-fast", 30, ("lgm@10", "fgm", "straight-through@10", "lgm@40"), 1),
    )
}
"""The two budgets by name."""


class PointMember(NamedTuple):
    """A run of Point-BIM.

    Attributes:
        name: Such as "pointbim/lgm@10", or "pointbim/lgm@10#1" from a random start.
        gradient: Name of the gradient method.
        start: 0 for the clean cloud, else the number of the random start.
    """

    name: str
    gradient: str
    start: int


def point_members(schedule: PointSchedule) -> list[PointMember]:
    """Return the members in order: all gradients from the clean cloud, and then from each random start."""
    return [_member(gradient, start) for start in range(schedule.starts) for gradient in schedule.gradients]


def point_control(schedule: PointSchedule) -> list[PointMember]:
    """Return the members of the control: as many runs under FGM, each from another start."""
    return [_member("fgm", start) for start in range(len(point_members(schedule)))]


def point_methods(
    network: nn.Module, members: Sequence[PointMember], cloud: PointCloud, eps: float
) -> dict[str, GradientMethod]:
    """Return the gradient methods of members by name, with slopes for attacks of half-width eps."""
    return {member.gradient: _method(network, member.gradient, cloud, eps) for member in members}


def _member(gradient: str, start: int) -> PointMember:
    return PointMember(member_name("pointbim", gradient) + f"#{start}" * (start > 0), gradient, start)


def _method(network: nn.Module, name: str, cloud: PointCloud, eps: float) -> GradientMethod:
    method = method_named(network, name, cloud)
    if isinstance(method.slope, Mapping):
        reach, factor = Reach(cloud.points, eps, eps), float(name.partition("@")[2]) / SLOPE
        units = ((path, unit) for path, unit in network.named_modules() if isinstance(unit, Unit))
        own = {path: unit.own_slope(reach) for path, unit in units}
        method.slope = {**method.slope, **{path: slope * factor for path, slope in own.items() if slope is not None}}
    return method


class StandardPoints(PointBIM):
    """Point-BIM from several starts under several gradient methods; the result is the best iterate of all runs.

    Shapes that have fallen leave. Scenes never fall, so they go through all runs.

    Args:
        eps: See `PointAttack`.
        steps: Steps of each run.
        members: Runs in their order; the first one starts at the clean cloud.
        methods: Gradient methods of the members by name.
        options: Those of `PointAttack`.
    """

    name: ClassVar[str] = "standard"

    def __init__(
        self,
        eps: float | Cubes,
        steps: int,
        members: Sequence[PointMember],
        methods: Mapping[str, GradientMethod],
        **options: Any,
    ) -> None:
        super().__init__(eps, steps=steps, **options)
        self.members, self.methods, self.active_set = tuple(members), dict(methods), True

    @property
    def gradients(self) -> int:
        """Number of gradients for a cloud that never falls."""
        return self.steps * len(self.members)

    def run(self, problem: Problem, trace: Trace, progress: Progress, *, history: bool) -> None:
        """Run the members; `trace.felled_by` names for each scene the one that reached its lowest mIoU."""
        trace.judged(problem, problem.judge(problem.clean))
        names = ["clean"] * len(problem.ids)
        for number, member in enumerate(self.members):
            rest = problem.select(~trace.fallen.to(problem.samples.device))
            if not rest.ids:
                break
            first, done = trace.iterates, number * self.steps
            run = _RandomStart(self, member) if member.start else self
            run.walk(
                replace(rest, method=self.methods[member.gradient]),
                self.steps,
                trace,
                lambda i, _, done=done: progress(done + i, self.gradients),  # type: ignore[misc]
                self.objective,
            )
            for place in (trace.kept >= first).nonzero().flatten().tolist():
                names[place] = member.name
        scenes = problem.adapter.task.labels_points
        for sample, name, fallen in zip(problem.ids, names, trace.fallen.tolist(), strict=True):
            if fallen or (scenes and name != "clean"):
                trace.felled_by[sample] = name
        progress(self.gradients, self.gradients)


class _RandomStart(PointBIM):
    """A run from random points within the cubes."""

    def __init__(self, attack: StandardPoints, member: PointMember) -> None:
        super().__init__(attack.budget, attack.step, attack.steps, loss=attack.loss, seed=attack.seed)  # type: ignore[arg-type]
        self.active_set, self.stream = True, f"{STREAM}/{member.name}"

    def start(self, problem: Problem) -> State:
        noise: Tensor = self.noise(problem, self.stream)
        return {"x": problem.clean + self.eps * noise}
