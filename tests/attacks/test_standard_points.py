"""The members of the standard evaluation of point clouds, against runs of Point-BIM one by one."""

import pytest
import torch
from point_cases import attacked, batch, only, victim

from lgm_bench.attacks import PointBIM
from lgm_bench.attacks.standard_points import (
    POINT_SCHEDULES,
    PointMember,
    PointSchedule,
    StandardPoints,
    point_control,
    point_members,
    point_methods,
)
from lgm_bench.leaded import LGM

SHAPES, SCENES, EPS = "minknet-small-modelnet40", "minkunet14-scannet", 0.03
QUICK = PointSchedule("quick", 3, ("fgm", "lgm@10", "straight-through@40"), 2)


def standard(name: str, members: list[PointMember], eps: float = EPS, steps: int = 3) -> StandardPoints:
    return StandardPoints(eps, steps, members, point_methods(victim(name), members, batch(name).cloud, eps))


def test_members_and_control_cost_the_same() -> None:
    for schedule in (*POINT_SCHEDULES.values(), QUICK):
        members, control = point_members(schedule), point_control(schedule)
        assert len({member.name for member in members}) == len(members) == len(control)
        assert control[0] == PointMember("pointbim", "fgm", 0)
        assert len({member.name for member in control}) == len(control)
        assert {member.gradient for member in control} == {"fgm"}
    whole, fast = (len(point_members(s)) * s.steps for s in POINT_SCHEDULES.values())
    assert fast <= whole / 5


def test_slopes_follow_eps_until_it_is_a_voxel() -> None:
    network = victim(SHAPES)
    edge = network.voxelization.grid.edge
    for eps, slope in ((edge / 4, 160), (edge, 40), (4 * edge, 40)):
        methods = point_methods(network, [PointMember("pointbim/lgm@40", "lgm@40", 0)], batch(SHAPES).cloud, eps)
        assert methods["lgm@40"].slope_of(network.voxelization, "voxelization") == pytest.approx(slope)


def test_the_first_run_is_point_bim() -> None:
    data = batch(SCENES)
    for gradient, method in (("fgm", None), ("lgm@10", LGM())):
        mine = attacked(standard(SCENES, [PointMember("only", gradient, 0)]), victim(SCENES), data)
        assert torch.equal(mine.adversarial, attacked(PointBIM(EPS, steps=3), victim(SCENES), data, method).adversarial)


def test_a_scene_gets_the_iterate_with_the_lowest_miou_of_all_runs() -> None:
    data, members = batch(SCENES), point_members(QUICK)
    together = attacked(standard(SCENES, members), victim(SCENES), data)
    alone = [attacked(standard(SCENES, [member]), victim(SCENES), data) for member in members]
    lowest = torch.stack([run.scores.min(dim=0).values for run in alone])
    assert torch.equal(together.scores.min(dim=0).values, lowest.min(dim=0).values)
    winners = lowest.argmin(dim=0).tolist()
    assert len(set(winners)) > 1, "several runs must have had something to add"
    assert together.felled_by == {name: members[winner].name for name, winner in zip(data.ids, winners, strict=True)}
    for number, winner in enumerate(winners):
        rows = data.cloud.scene == number
        assert torch.equal(together.adversarial[rows], alone[winner].adversarial[rows])
    assert together.gradients.tolist() == [18, 18]


def test_shapes_that_have_fallen_leave() -> None:
    data = batch(SHAPES, (150, 110, 90, 130))
    data.labels[3] = (data.labels[3] + 1) % 40
    members = point_members(QUICK)
    together = attacked(standard(SHAPES, members, 0.2), victim(SHAPES), data)
    felled: dict[str, str] = {data.ids[3]: "clean"}
    for member in members:
        run = attacked(standard(SHAPES, [member], 0.2), victim(SHAPES), data)
        felled = dict.fromkeys(run.felled_by, member.name) | felled
    assert together.felled_by == felled
    assert together.gradients[3] == 0
    standing = [number for number, name in enumerate(data.ids) if name not in felled]
    assert all(together.gradients[number] == 18 for number in standing)
    assert any(0 < spent < 18 for spent in together.gradients.tolist())
    logits = victim(SHAPES)(data.cloud.moved(together.adversarial))
    assert (logits.argmax(dim=1) != data.labels).tolist() == [name in felled for name in data.ids]


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    data, attack = batch(SHAPES), standard(SHAPES, point_members(QUICK))
    both = attacked(attack, victim(SHAPES), data)
    second = attacked(attack, victim(SHAPES), only(data, [1]))
    assert torch.allclose(both.adversarial[data.cloud.scene == 1], second.adversarial, atol=1e-9)
