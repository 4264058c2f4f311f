"""N(x) against an enumeration of every voxel that a move can lead to."""

from itertools import product

import numpy as np
import pytest
import torch

from lgm_bench.voxels import Reach
from lgm_bench.voxels.grid import CartesianGrid, CylindricalGrid
from lgm_bench.voxels.neighbours import neighbour_pairs, own_pairs

VOXEL = 0.05


def cloud(n: int = 150, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, 3, generator=generator, dtype=torch.float64) - 0.5) * 0.4


def moved(clean: torch.Tensor, eps: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return clean + eps * (2 * torch.rand(clean.shape, generator=generator, dtype=torch.float64) - 1)


def as_set(pairs: tuple[torch.Tensor, torch.Tensor]) -> set[tuple[int, ...]]:
    point, voxel = pairs
    rows = [(p, *v) for p, v in zip(point.tolist(), voxel.tolist(), strict=True)]
    assert len(rows) == len(set(rows)), "every pair once"
    return set(rows)


def reachable(points: np.ndarray, clean: np.ndarray, step: float, eps: float) -> set[tuple[int, ...]]:
    """Walk from each point along -1, 0, +1 steps an axis, back into the cube, and note the voxel if it is near."""
    found = set()
    for number, (place, origin) in enumerate(zip(points, clean, strict=True)):
        own = np.floor(place / VOXEL)
        for direction in product((-1, 0, 1), repeat=3):
            there = np.clip(place + step * np.array(direction), origin - eps, origin + eps)
            voxel = np.floor(there / VOXEL)
            if (np.abs(voxel - own) <= 1).all():
                found.add((number, *voxel.astype(int)))
    return found


@pytest.mark.parametrize(("step", "eps"), [(0.01, 0.01), (0.01, 0.02), (0.02, 0.02), (0.03, 0.04), (0.004, 0.05)])
def test_against_an_enumeration(step: float, eps: float) -> None:
    clean = cloud()
    points = moved(clean, eps)
    pairs = neighbour_pairs(CartesianGrid(VOXEL), points, Reach(clean, step, eps))
    assert as_set(pairs) == reachable(points.numpy(), clean.numpy(), step, eps)


def test_the_own_voxels_come_first() -> None:
    points = cloud()
    grid = CartesianGrid(VOXEL)
    point, voxel = neighbour_pairs(grid, points, Reach(points, 0.01, 0.02))
    own_point, own_voxel = own_pairs(grid, points)
    assert torch.equal(point[: len(points)], own_point)
    assert torch.equal(voxel[: len(points)], own_voxel)
    assert len(point) > len(points)


def test_without_a_reach_all_26_are_neighbours() -> None:
    points = cloud(20)
    assert len(as_set(neighbour_pairs(CartesianGrid(VOXEL), points, None))) == 20 * 27


def test_nothing_moves_nowhere() -> None:
    points = cloud(40)
    assert as_set(neighbour_pairs(CartesianGrid(VOXEL), points, Reach(points, 0.0, 0.0))) == as_set(
        own_pairs(CartesianGrid(VOXEL), points)
    )


def test_a_point_on_a_border_can_step_back() -> None:
    points = torch.tensor([[0.05, 0.025, 0.025]], dtype=torch.float64)
    pairs = as_set(neighbour_pairs(CartesianGrid(VOXEL), points, Reach(points, 1e-6, 1e-6)))
    assert pairs == {(0, 1, 0, 0), (0, 0, 0, 0)}


def test_a_move_that_ends_on_a_border_is_in_the_voxel_behind_it() -> None:
    points = torch.full((1, 3), 0.25, dtype=torch.float64)
    for step, eps in ((0.25, 0.5), (0.5, 0.25)):
        voxels = neighbour_pairs(CartesianGrid(0.5), points, Reach(points, step, eps))[1]
        assert (voxels.min(), voxels.max()) == (0, 1)


def test_cylindrical_neighbours_hold_every_cell_that_a_move_reaches() -> None:
    grid = CylindricalGrid((48, 36, 32))
    generator = torch.Generator().manual_seed(1)
    spread = torch.tensor([12.0, 12.0, 3.0], dtype=torch.float64)
    clean = (2 * torch.rand(300, 3, generator=generator, dtype=torch.float64) - 1) * spread
    points, step = moved(clean, 0.2), 0.1
    pairs = as_set(neighbour_pairs(grid, points, Reach(clean, step, 0.2)))
    own = grid.voxels(points)
    for direction in product((-1, -0.5, 0, 0.5, 1), repeat=3):
        there = points + step * torch.tensor(direction, dtype=torch.float64)
        there = torch.minimum(torch.maximum(there, clean - 0.2), clean + 0.2)
        cells = grid.voxels(there)
        near = ((cells - own).abs() <= 1).all(dim=1)
        for number in near.nonzero()[:, 0].tolist():
            assert (number, *cells[number].tolist()) in pairs


def test_cylindrical_neighbours_stay_inside_the_grid() -> None:
    grid = CylindricalGrid((48, 36, 32))
    points = torch.tensor([[60.0, 0.0, 5.0], [0.01, 0.0, -9.0], [-3.0, 1e-9, 0.0], [-3.0, -1e-9, 0.0]]).double()
    for reach in (None, Reach(points, 0.5, 0.5)):
        voxel = neighbour_pairs(grid, points, reach)[1]
        assert (voxel >= 0).all()
        assert (voxel < torch.tensor(grid.size)).all()


def test_cells_do_not_wrap_around_in_phi() -> None:
    """The grid ends behind the sensor, where the network's convolutions end too; a point can cross that seam."""
    grid = CylindricalGrid((480, 360, 32))
    before, after = torch.tensor([[-5.0, 1e-3, -1.0]]), torch.tensor([[-5.0, -1e-3, -1.0]])
    assert (grid.voxels(before)[0, 1].item(), grid.voxels(after)[0, 1].item()) == (358, 0)
    _, voxel = neighbour_pairs(grid, before, Reach(before, 0.02, 0.02))
    assert set(voxel[:, 1].tolist()) == {358, 359}
