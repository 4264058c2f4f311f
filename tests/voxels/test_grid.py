"""Voxel grids against formulas written out in numpy."""

import math

import numpy as np
import pytest
import torch

from lgm_bench.errors import ConfigError, DataError
from lgm_bench.voxels.grid import CartesianGrid, CylindricalGrid

SIZE = (48, 36, 32)
LOW, HIGH = np.array([0, -3.1415926, -4]), np.array([50, 3.1415926, 2])


def points(n: int = 4000, extent: float = 70.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    cube = (torch.rand(n, 3, generator=generator, dtype=torch.float64) - 0.5) * 2
    return cube * torch.tensor([extent, extent, 8.0])  # beyond 50 m, and above and below the grid


def numpy_cells(xyz: np.ndarray) -> np.ndarray:
    """The cells of the published Cylinder3D."""
    place = np.stack([np.hypot(xyz[:, 0], xyz[:, 1]), np.arctan2(xyz[:, 1], xyz[:, 0]), xyz[:, 2]], axis=1)
    width = (HIGH - LOW) / (np.array(SIZE) - 1)
    return np.floor((np.clip(place, LOW, HIGH) - LOW) / width).astype(int)


def test_cylindrical_cells() -> None:
    xyz = points()
    special = torch.tensor([[0, 0, 0], [0, 0, 9], [-5, 0, 0], [-5, -0.0, 0], [60, 0, -9], [0, 1e-12, 2]]).double()
    xyz = torch.cat([xyz, special])
    cells = CylindricalGrid(SIZE).voxels(xyz)
    np.testing.assert_array_equal(cells.numpy(), numpy_cells(xyz.numpy()))
    assert (cells >= 0).all()
    assert (cells < torch.tensor(SIZE)).all(), "what lies outside counts to the border"
    assert (xyz.norm(dim=1) > 50).any()


def test_cylindrical_gradient() -> None:
    grid, xyz = CylindricalGrid(SIZE), points(200, 30.0)
    xyz = xyz[(xyz[:, 2] > -3.9) & (xyz[:, 2] < 1.9) & (xyz[:, :2].norm(dim=1) < 49)]
    assert torch.autograd.gradcheck(grid.units, xyz.requires_grad_(), eps=1e-6, atol=1e-6)


def test_where_cylindrical_places_do_not_move() -> None:
    """At the axis there is no direction of rho and phi; outside the grid a move changes nothing."""
    rows = [[0.0, 0.0, 0.0], [80.0, 1.0, 0.0], [3.0, 1.0, 5.0], [0.0, 1e-200, 0.0]]
    xyz = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(CylindricalGrid(SIZE).units(xyz).sum(), xyz)
    assert gradient.isfinite().all()
    assert (gradient[[0, 3], :2] == 0).all(), "nor where a square is too small for a number"
    assert gradient[0, 2] > 0
    assert gradient[2, 2] == 0
    along_rho = torch.autograd.grad(CylindricalGrid(SIZE).units(xyz)[1, 0], xyz)[0]
    assert (along_rho == 0).all()


def test_cylindrical_centres() -> None:
    grid = CylindricalGrid(SIZE)
    cells = torch.tensor([[0, 0, 0], [47, 35, 31], [10, 20, 5]])
    width = (HIGH - LOW) / (np.array(SIZE) - 1)
    expected = (cells.numpy() + 0.5) * width + LOW
    np.testing.assert_allclose(grid.centres(cells, points()).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("distance", [0.01, 0.5])
def test_no_move_in_a_cube_leads_farther_than_said(distance: float) -> None:
    grid, xyz = CylindricalGrid(SIZE), torch.cat([points(300, 40.0), points(100, 0.5)])
    bound = grid.moves(xyz, distance)
    width = torch.from_numpy((HIGH - LOW) / (np.array(SIZE) - 1))
    farthest = torch.zeros_like(xyz)
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, -0.4, 0.0, 1.0], dtype=torch.float64)] * 3) * distance
    for corner in corners:
        moved = (grid.cylindrical(xyz + corner) - grid.cylindrical(xyz)).abs()
        moved[:, 1] = torch.minimum(moved[:, 1], 2 * math.pi - moved[:, 1])
        farthest = torch.maximum(farthest, moved / width)
    assert (farthest <= bound + 1e-9).all()
    far = xyz[:, :2].norm(dim=1) > 5 * distance
    assert (bound[far][:, 1] < 3 * farthest[far][:, 1] + 1e-6).all(), "nor is the bound much too wide"


@pytest.mark.parametrize("size", [0.02, 0.05, 1.0])
def test_cartesian_voxels(size: float) -> None:
    xyz = points(500, 3.0)
    grid = CartesianGrid(size)
    np.testing.assert_array_equal(grid.voxels(xyz).numpy(), np.floor(xyz.numpy() / size).astype(int))
    assert torch.allclose(grid.moves(xyz, 0.01), torch.tensor(0.01 / size, dtype=torch.float64))
    assert grid.voxels(torch.tensor([[-1e-9, 0.0, size]])).tolist() == [[-1, 0, 1]]


@pytest.mark.parametrize("grid", [CartesianGrid(0.05), CylindricalGrid(SIZE)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_coordinates_that_are_not_finite(grid, value: float) -> None:
    xyz = points(5)
    xyz[3, 1] = value
    with pytest.raises(DataError, match=r"point 3 lies at .* must be finite"):
        grid.voxels(xyz)


def test_too_far_for_the_voxels() -> None:
    with pytest.raises(DataError, match=r"point 0 .* within 20972 m of the origin"):
        CartesianGrid(0.02).voxels(torch.tensor([[3e4, 0.0, 0.0]]))


def test_grids_that_make_no_sense() -> None:
    for size in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="voxel_size must be a positive number of metres"):
            CartesianGrid(size)
    with pytest.raises(ConfigError, match="at least 2 cells"):
        CylindricalGrid((1, 4, 4))
    with pytest.raises(ConfigError, match="low < high"):
        CylindricalGrid(SIZE, low=(50.0, -3.0, -4.0))
