"""Compiled sums over pairs against those in plain PyTorch, their gradients by finite differences, and odd clouds."""

import pytest
import torch
from clouds import plain_pytorch
from torch import Tensor

from lgm_bench.errors import DataError
from lgm_bench.leaded import FGM, LGM, Soft, StraightThrough
from lgm_bench.sparse import compiled
from lgm_bench.voxels import PointCloud, Reach, VoxelSlopes
from lgm_bench.voxels.compiled_pairs import CompiledPairs
from lgm_bench.voxels.grid import CartesianGrid, CylindricalGrid, Grid
from lgm_bench.voxels.pairs import ListedPairs, Pairs
from lgm_bench.voxels.relation import RELATIONS, Relation
from lgm_bench.voxels.voxelization import Voxelization

GRIDS = (CartesianGrid(0.05), CylindricalGrid((48, 36, 32)))

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="no C++ compiler")


def cloud(sizes: tuple[int, ...], dtype: torch.dtype = torch.float64, seed: int = 0) -> PointCloud:
    """Scenes in one place; in each, every seventh point lies on borders of voxels and a point is listed twice."""
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(sum(sizes), 3, generator=generator, dtype=torch.float64) - 0.4) * 0.5
    points[::7] = (points[::7] / 0.05).round() * 0.05
    points[-1] = points[0]
    scene = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    features = torch.rand(len(points), 5, generator=generator, dtype=torch.float64)
    return PointCloud(points.to(dtype), features.to(dtype), scene)


def close(mine: Tensor, its: Tensor, tolerance: float) -> None:
    """Compare with a tolerance that is relative to the largest value."""
    largest = float(its.detach().double().abs().max())
    torch.testing.assert_close(mine, its, rtol=tolerance, atol=tolerance * largest)


def sums(pairs: Pairs, features: Tensor, relation: Relation) -> list[Tensor]:
    """All sums, each used by the next where that is possible."""
    occupancy, weighted, plain = pairs.soft_or(relation), pairs.mean(features, relation), pairs.mean(features, None)
    values = torch.cat([weighted * occupancy[:, None], plain], dim=1)
    return [occupancy, weighted, plain, *(pairs.spread(values, relation, normalized=way) for way in (False, True))]


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("sizes", [(1,), (2,), (150, 1, 67), (1300,)])
def test_sums_and_gradients_of_plain_pytorch(sizes: tuple[int, ...], grid: Grid, relation: str) -> None:
    points = cloud(sizes)
    generator = torch.Generator()
    for reach in (None, Reach(points.points, 0.01, 0.03)):
        for softens in (True, False):
            outcomes = []
            for kind in (CompiledPairs, ListedPairs):
                moving, features = (value.clone().requires_grad_() for value in points[:2])
                pairs = kind(grid, points.moved(moving), softens=softens, reach=reach)
                found = sums(pairs, features, Relation(relation, 7.0))
                generator.manual_seed(1)
                total = sum(
                    (value * torch.randn(value.shape, generator=generator, dtype=value.dtype)).sum() for value in found
                )
                outcomes.append([*found, *torch.autograd.grad(total, (moving, features))])
                outcomes[-1] += [pairs.coordinates, pairs.own, pairs.reached]
            for mine, its in zip(*outcomes, strict=True):
                close(mine, its, 1e-10)


@pytest.mark.parametrize("relation", RELATIONS)
def test_gradients_by_finite_differences(relation: str) -> None:
    points = cloud((9, 5), seed=3)
    inner = points.moved(points.points + 0.003)  # no point on a border, where relations have kinks
    grid, reach = CartesianGrid(0.05), Reach(inner.points, 0.02, 0.02)

    def outputs(moving: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        pairs = CompiledPairs(grid, inner.moved(moving), softens=True, reach=reach)
        return tuple(sums(pairs, features, Relation(relation, 3.0)))

    leaves = (inner.points.clone().requires_grad_(), inner.features.clone().requires_grad_())
    assert torch.autograd.gradcheck(outputs, leaves, eps=1e-7, atol=1e-5)


def test_occupancies_of_exactly_0_and_1_have_exact_gradients() -> None:
    """Single precision and a steep relation: some points fill their voxel by themselves, two of them one voxel."""
    centre = torch.tensor([[0.025, 0.025, 0.025], [0.026, 0.025, 0.025], [0.075, 0.025, 0.025]])
    points = PointCloud(centre, torch.zeros(3, 0), torch.zeros(3, dtype=torch.int64))
    outcomes = []
    for kind in (CompiledPairs, ListedPairs):
        moving = points.points.clone().requires_grad_()
        occupancy = kind(CartesianGrid(0.05), points.moved(moving), softens=True, reach=None).soft_or(
            Relation("sigmoid", 60.0)
        )
        assert (occupancy == 1).any()
        assert (occupancy == 0).any()
        outcomes.append((occupancy.detach(), torch.autograd.grad(occupancy.sum(), moving)[0]))
    for mine, its in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("method", [FGM, LGM, Soft, StraightThrough])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grid", GRIDS)
def test_every_gradient_method(grid: Grid, dtype: torch.dtype, method: type) -> None:
    points = cloud((203, 41), dtype)
    points = points.moved(points.points + 0.003)  # the soft floor jumps a little in the middle between whole numbers
    slopes = VoxelSlopes(input=6.0, output=9.0, floor=5.0, normalized=True)
    gradient = FGM(slopes) if method is FGM else method(8.0, slopes)
    units, outcomes = Voxelization(grid), []
    for way in (torch.enable_grad, plain_pytorch):
        moving = points.points.clone().requires_grad_()
        with way(), gradient.applied_to(units, Reach(points.points, 0.01, 0.03)):
            voxels = units(points.moved(moving))
            value = torch.cat([voxels.gather(points.features), voxels.coordinate_features()], dim=1)
            value = value if voxels.occupancy is None else value * voxels.occupancy[:, None]
            logits = voxels.scatter(value)
        outcomes.append((voxels.pairs, logits.detach(), torch.autograd.grad(logits.square().sum(), moving)[0]))
    (mine, *mine_values), (its, *its_values) = outcomes
    assert (type(mine), type(its)) == (CompiledPairs, ListedPairs)
    tolerance = 1e-4 if dtype is torch.float32 else 1e-10
    for one, other in zip(mine_values, its_values, strict=True):
        close(one, other, tolerance)


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    points, threads, found = cloud((4000,), torch.float32), torch.get_num_threads(), set()
    try:
        for number in (1, 4, 4):
            torch.set_num_threads(number)
            moving, features = (value.clone().requires_grad_() for value in points[:2])
            pairs = CompiledPairs(CartesianGrid(0.05), points.moved(moving), softens=True, reach=None)
            total = sum(value.square().sum() for value in sums(pairs, features, Relation("sigmoid", 5.0)))
            gradients = torch.autograd.grad(total, (moving, features))
            found.add(b"".join(value.numpy().tobytes() for value in gradients))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1


def test_clouds_without_points_and_points_nowhere_are_named() -> None:
    nothing = PointCloud(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(DataError, match="no points"), LGM(8.0).applied_to(units := Voxelization(GRIDS[0])):
        units(nothing)
    astray = cloud((5,)).points.clone()
    astray[3, 1] = torch.nan
    with pytest.raises(DataError, match="point 3"):
        CompiledPairs(GRIDS[0], cloud((5,)).moved(astray), softens=True, reach=None)
