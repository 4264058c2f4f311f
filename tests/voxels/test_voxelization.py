"""Leaded voxels in whole victims: limits, gradients to points in metres, the hard forward pass, scenes in a batch."""

import numpy as np
import pytest
import torch
from point_cases import VICTIMS, cloud, scene, victim
from torch import Tensor, nn

from lgm_bench.errors import DataError
from lgm_bench.leaded import FGM, LGM, GradientMethod, Soft, StraightThrough, gradient_named
from lgm_bench.sparse.level import unique_voxels
from lgm_bench.voxels import PointCloud, Reach, VoxelSlopes
from lgm_bench.voxels.grid import CartesianGrid, CylindricalGrid
from lgm_bench.voxels.neighbours import neighbour_pairs
from lgm_bench.voxels.relation import RELATIONS
from lgm_bench.voxels.voxelization import Voxelization, Voxels


def slopes(name: str, slope: float, relation: str = "sigmoid") -> VoxelSlopes:
    """Slopes of every way that the released runs soften for this victim."""
    output = None if name.startswith("cylinder3d") else slope
    return VoxelSlopes(input=slope, output=output, floor=slope, relation=relation)


def logits(name: str, points: PointCloud, gradient: GradientMethod, reach: Reach | None = None) -> Tensor:
    with gradient.applied_to(victim(name), reach):
        return victim(name)(points)


def far_from_borders(name: str, points: PointCloud) -> PointCloud:
    place = victim(name).voxelization.grid.units(points.points)
    inside = place - place.floor()
    far = ((inside > 0.15) & (inside < 0.85)).all(dim=1)
    return PointCloud(*(value[far] for value in points))


@pytest.mark.parametrize("name", VICTIMS)
def test_large_slopes_are_the_hard_network(name: str) -> None:
    points = far_from_borders(name, cloud(name))
    assert len(points.points) > 50
    leaded = logits(name, points, LGM(3000.0, voxels=slopes(name, 3000.0)))
    hard = victim(name)(points)
    assert (leaded - hard).abs().max() <= 1e-12 * hard.abs().max()
    smooth = logits(name, points, LGM(10.0, voxels=slopes(name, 10.0)))
    assert (smooth - hard).abs().max() > 1e-3 * hard.abs().max(), "and small ones are not"


@pytest.mark.parametrize("name", VICTIMS)
def test_large_slopes_of_fgm_are_the_hard_network(name: str) -> None:
    points = far_from_borders(name, cloud(name))
    if name.startswith("cylinder3d"):
        soft = logits(name, points, FGM(slopes(name, 3000.0)))
    else:  # a weight of the farther of two points in a voxel is nothing: only single points weigh the same
        soft = logits(name, points, FGM(VoxelSlopes(output=3000.0)))
    hard = victim(name)(points)
    assert (soft - hard).abs().max() <= 1e-12 * hard.abs().max()


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("name", VICTIMS)
def test_gradient_to_points_in_metres(name: str, relation: str) -> None:
    """The derivative along random directions, against differences of the soft network."""
    points = cloud(name, (90, 60), seed=3)
    gradient = LGM(6.0, voxels=slopes(name, 6.0, relation))
    reach = Reach(points.points, 0.01, 0.05)
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(victim(name)(points).shape, generator=generator, dtype=torch.float64)
    moving = points.points.clone().requires_grad_()
    (found,) = torch.autograd.grad((logits(name, points.moved(moving), gradient, reach) * weight).sum(), moving)
    assert found.isfinite().all()
    assert (found.abs().sum(dim=1) > 0).double().mean() > 0.99, "every point feels a gradient"
    step, errors = 1e-7, []
    for _ in range(3):
        direction = torch.randn(found.shape, generator=generator, dtype=torch.float64)
        sides = [
            (logits(name, points.moved(points.points + side * direction), gradient, reach) * weight).sum()
            for side in (step, -step)
        ]
        difference, expected = ((sides[0] - sides[1]) / (2 * step)).item(), (found * direction).sum().item()
        errors.append(abs(difference - expected) / abs(expected))
    assert sorted(errors)[1] < 1e-4, errors  # one of three may straddle a kink: a maximum, a ReLU, a voxel's border


@pytest.mark.parametrize("name", VICTIMS)
def test_a_hard_forward_pass_shows_the_hard_network(name: str) -> None:
    points = cloud(name)
    gradient = StraightThrough(8.0, slopes(name, 8.0))
    hard = victim(name)(points)
    moving = points.points.clone().requires_grad_()
    leaded = logits(name, points.moved(moving), gradient, Reach(points.points, 0.01, 0.05))
    assert (leaded - hard).abs().max() <= 1e-12 * hard.abs().max()
    (gradient_to_points,) = torch.autograd.grad(leaded.square().sum(), moving)
    assert (gradient_to_points.abs().sum(dim=1) > 0).double().mean() > 0.9


def output_and_gradient(name: str, points: PointCloud, gradient: GradientMethod) -> tuple[Tensor, Tensor]:
    moving = points.points.clone().requires_grad_()
    output = logits(name, points.moved(moving), gradient, Reach(points.points, 0.01, 0.05))
    return output.detach(), torch.autograd.grad(output.square().sum(), moving)[0]


def held(_module: nn.Module, _arguments: object, voxels: Voxels) -> None:
    """Forward hook of a voxelization: both occupancies become constants to autograd."""
    for name in ("occupancy", "input_occupancy"):
        setattr(voxels, name, getattr(voxels, name).detach())


@pytest.mark.parametrize("name", VICTIMS)
def test_soft_is_the_soft_network_with_its_occupancies_held(name: str) -> None:
    points = cloud(name)
    soft = output_and_gradient(name, points, Soft(8.0))
    leaded = output_and_gradient(name, points, LGM(8.0))
    handle = victim(name).voxelization.register_forward_hook(held)
    try:
        expected = output_and_gradient(name, points, LGM(8.0))
    finally:
        handle.remove()
    assert torch.equal(soft[0], leaded[0])
    assert torch.allclose(soft[1], expected[1], rtol=0, atol=1e-13 * expected[1].abs().max().item())
    assert (soft[1] - leaded[1]).abs().max() > 1e-3 * leaded[1].abs().max()


@pytest.mark.parametrize(
    ("grid", "eps", "slope"),
    [
        (CartesianGrid(0.02), 0.05, 10.0),
        (CartesianGrid(0.02), 0.02, 10.0),
        (CartesianGrid(0.02), 0.005, 40.0),
        (CylindricalGrid((240, 180, 32)), 0.05, 10 * 50 / 239 / 0.05),
    ],
)
def test_automatic_slopes_are_of_a_voxel_or_of_eps_where_that_is_less(
    grid: CartesianGrid | CylindricalGrid, eps: float, slope: float
) -> None:
    points = cloud("minkunet14-scannet", (60,))
    units, reach = Voxelization(grid), Reach(points.points, eps / 4, eps)
    with LGM("auto").applied_to(units, reach):
        voxels = units(points)
    assert voxels.slope == pytest.approx(slope)
    assert (voxels.slopes.input, voxels.slopes.output, voxels.slopes.floor) == (voxels.slope,) * 3
    with LGM(slope, VoxelSlopes(slope, slope, slope)).applied_to(units, reach):
        same = units(points)
    assert torch.allclose(voxels.occupancy, same.occupancy)
    assert torch.allclose(voxels.gather(points.features), same.gather(points.features))
    with LGM("auto").applied_to(units):
        assert units(points).slope == 10.0, "nothing says how far points move"


class Halved(GradientMethod):
    """Soft occupancy with half the leaded gradient."""

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:
        assert set(hard.unique().tolist()) == {0.0, 1.0}
        return soft / 2 + soft.detach() / 2


@pytest.mark.parametrize("name", VICTIMS)
def test_a_users_method_composes_the_occupancy_of_voxels(name: str) -> None:
    points = cloud(name)
    leaded, soft = (output_and_gradient(name, points, kind(8.0)) for kind in (LGM, Soft))
    found = output_and_gradient(name, points, gradient_named(f"{__name__}:Halved", 8.0))
    assert torch.allclose(found[0], leaded[0], rtol=1e-12)
    assert torch.allclose(found[1], (leaded[1] + soft[1]) / 2, atol=1e-10 * leaded[1].abs().max().item())


@pytest.mark.parametrize("ends", [8.0, None])
def test_with_a_hard_forward_pass_reached_voxels_lead_by_what_they_would_hold(ends: float | None) -> None:
    """A feature (Eq. 37-38) of a voxel that nothing is in is 0; its derivative is what is there times do(p)."""
    points = cloud("minkunet14-scannet", (60,))
    units, reach = Voxelization(CartesianGrid(0.02)), Reach(points.points, 0.01, 0.05)
    found = []
    for method in (LGM, StraightThrough):
        moving = points.points.clone().requires_grad_()
        with method(8.0, VoxelSlopes(input=ends)).applied_to(units, reach):
            voxels = units(points.moved(moving))
        empty = ~voxels.occupied
        value = voxels.gather(points.features)
        if method is StraightThrough:
            assert (value[empty] == 0).all()
        else:
            assert voxels.input_occupancy is not None
            value = voxels.input_occupancy[:, None] * voxels.average(points.features).detach()
        found.append(torch.autograd.grad(value[empty].sum(), moving)[0])
    assert (found[0] != 0).any()
    assert torch.allclose(found[1], found[0], rtol=1e-10)


@pytest.mark.parametrize("gradient", [FGM(), FGM(VoxelSlopes(input=8.0, output=8.0)), LGM(8.0), StraightThrough(8.0)])
def test_a_cloud_without_points_is_named(gradient: GradientMethod) -> None:
    nothing = PointCloud(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    units = Voxelization(CartesianGrid(0.02))
    with pytest.raises(DataError, match="no points"), gradient.applied_to(units):
        units(nothing)
    with pytest.raises(DataError, match="no points"):
        units.occupied(nothing)


@pytest.mark.parametrize("gradient", [FGM(), FGM(VoxelSlopes(input=8.0, output=8.0)), LGM(8.0), StraightThrough(8.0)])
@pytest.mark.parametrize("name", VICTIMS)
def test_scenes_in_a_batch_do_not_meet(name: str, gradient: GradientMethod) -> None:
    points = cloud(name, (70, 50, 60))  # in the same place: they would share voxels
    reach = Reach(points.points, 0.01, 0.05)
    together = logits(name, points, gradient, reach)
    of_points = len(together) == len(points.points)
    for number in range(3):
        rows = points.scene == number
        alone = logits(name, scene(points, number), gradient, Reach(points.points[rows], 0.01, 0.05))
        assert torch.allclose(together[rows if of_points else [number]], alone, rtol=0, atol=1e-12)


def test_fgm_touches_no_other_voxels_than_the_occupied() -> None:
    points = cloud("minkunet14-scannet")
    units = Voxelization(CartesianGrid(0.02))
    occupied = units.occupied(points)
    for gradient in (FGM(), FGM(VoxelSlopes(input=8.0, output=8.0, floor=8.0))):
        with gradient.applied_to(units, Reach(points.points, 0.01, 0.05)):
            voxels = units(points)
        assert torch.equal(voxels.coordinates, occupied)
        assert voxels.occupancy is None
    with LGM(8.0).applied_to(units, Reach(points.points, 0.01, 0.05)):
        leaded = units(points)
    assert torch.equal(leaded.coordinates[leaded.occupied], occupied)
    assert len(leaded) > len(occupied)
    assert leaded.occupancy is not None
    assert ((leaded.occupancy > 0) & (leaded.occupancy <= 1)).all()


def test_occupied_voxels_as_numpy_lists_them() -> None:
    points = cloud("minkunet14-scannet")
    listed = np.concatenate([points.scene[:, None].numpy(), np.floor(points.points.numpy() / 0.02)], axis=1)
    expected = np.unique(listed.astype(int), axis=0)
    np.testing.assert_array_equal(Voxelization(CartesianGrid(0.02)).occupied(points).numpy(), expected)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("relation", RELATIONS)
def test_sums_over_pairs_one_by_one(relation: str, normalized: bool) -> None:
    """Occupancy (Eq. 31), input features (Eq. 37-38) and output logits (Eq. 40) of a small cloud, with loops."""
    points = cloud("minkunet14-scannet", (14, 9))
    units, reach = Voxelization(CartesianGrid(0.02)), Reach(points.points, 0.01, 0.01)
    gradient = LGM(7.0, voxels=VoxelSlopes(input=5.0, output=9.0, relation=relation, normalized=normalized))
    with gradient.applied_to(units, reach):
        voxels = units(points)
    point, voxel = neighbour_pairs(units.grid, points.points, reach)
    listed = torch.cat([points.scene[point][:, None], voxel], dim=1)
    row = (listed[:, None] == voxels.coordinates).all(dim=2).long().argmax(dim=1)
    r = {}
    for slope in (5.0, 7.0, 9.0):
        distance = (points.points[point] / 0.02 - voxel - 0.5).abs()
        r[slope] = RELATIONS[relation](distance, slope).exp().tolist()
    values = torch.arange(len(voxels), dtype=torch.float64)[:, None] - 3.0
    occupancy, gathered = voxels.occupancy, voxels.gather(points.features)
    assert occupancy is not None
    members = list(zip(point.tolist(), row.tolist(), strict=True))
    for row in range(len(voxels)):
        pairs = [i for i, (_, p) in enumerate(members) if p == row]
        assert occupancy[row].item() == pytest.approx(1 - np.prod([1 - r[7.0][i] for i in pairs]), rel=1e-10)
        there = 1 - np.prod([1 - r[5.0][i] for i in pairs])
        mean = sum(r[5.0][i] * points.features[members[i][0]] for i in pairs) / sum(r[5.0][i] for i in pairs)
        assert torch.allclose(gathered[row], there * mean, rtol=1e-10)
    scattered = voxels.scatter(values)
    for x in range(len(points.points)):
        pairs = [i for i, (p, _) in enumerate(members) if p == x]
        weights = np.array([r[9.0][i] for i in pairs])
        expected = (weights * [values[members[i][1], 0].item() for i in pairs]).sum()
        expected /= weights.sum() if normalized else 1.0
        assert scattered[x, 0].item() == pytest.approx(expected, rel=1e-10)


def test_hard_gathering_is_the_mean_and_scattering_a_copy() -> None:
    points = cloud("minkunet14-scannet", (60, 40))
    voxels = Voxelization(CartesianGrid(0.1))(points)
    gathered = voxels.gather(points.features)
    for row, voxel in enumerate(voxels.coordinates):
        inside = (points.scene == voxel[0]) & (points.points.div(0.1).floor() == voxel[1:]).all(dim=1)
        assert torch.allclose(gathered[row], points.features[inside].mean(dim=0))
    assert torch.equal(voxels.scatter(gathered), gathered[voxels.own])


def test_coordinate_features_of_the_soft_network_approach_the_hard_ones() -> None:
    points = far_from_borders("minkunet14-s3dis", cloud("minkunet14-s3dis"))
    units = Voxelization(CartesianGrid(0.05))
    hard = units(points).coordinate_features()
    coordinates, own = units(points).coordinates, units(points).own
    for number in range(2):
        of_points = coordinates[own][points.scene == number][:, 1:].double()
        of_voxels = coordinates[coordinates[:, 0] == number][:, 1:].double()
        expected = of_voxels - of_points.mean(dim=0) * torch.tensor([1, 1, 0])
        assert torch.allclose(hard[coordinates[:, 0] == number], expected)
    with FGM(VoxelSlopes(input=1.0, floor=3000.0)).applied_to(units):
        assert torch.allclose(units(points).coordinate_features(), hard, atol=1e-9)


def test_unique_voxels_are_sorted_rows_without_repeats() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(-3, 3, (200, 4), generator=generator)
    rows[:, 0] = rows[:, 0].abs()
    distinct, row = unique_voxels(rows)
    np.testing.assert_array_equal(distinct.numpy(), np.unique(rows.numpy(), axis=0))
    assert torch.equal(distinct[row], rows)


def test_points_outside_the_grid_fill_the_cells_that_they_are_counted_to() -> None:
    voxelization = Voxelization(CylindricalGrid((240, 180, 32)))
    points = torch.tensor([[60.0, 0.0, 5.0], [10.0, 10.0, 3.0], [10.0, 10.0, 0.0]])
    outside = PointCloud(points, torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64))
    with LGM(200.0, voxels=VoxelSlopes(input=10.0)).applied_to(voxelization, Reach(points, 0.005, 0.02)):
        voxels = voxelization(outside)
    assert len(voxels) == 3  # and no step leads them anywhere else
    assert voxels.occupancy is not None
    assert bool((voxels.occupancy[voxels.own] > 0.99).all())


def test_gradients_have_the_same_bits_every_time_with_several_threads() -> None:
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    points_cloud = PointCloud(points, torch.ones(4000, 2), torch.arange(4000) // 2000)
    voxelization = Voxelization(CartesianGrid(0.05))
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with LGM(5.0, voxels=VoxelSlopes(input=5.0, output=5.0, floor=5.0)).applied_to(voxelization):
            voxels = voxelization(points_cloud)
        features = torch.cat([voxels.gather(points_cloud.features), voxels.coordinate_features()], dim=1)
        logits = voxels.scatter(features * voxels.occupancy[:, None])
        found = {torch.autograd.grad(logits.sum(), points, retain_graph=True)[0].numpy().tobytes() for _ in range(10)}
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1
