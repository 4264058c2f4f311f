"""Voxel grids: from points in metres to positions in voxels."""

import math

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError, DataError

Triple = tuple[int, int, int]
LOW, HIGH = (0.0, -3.1415926, -4.0), (50.0, 3.1415926, 2.0)
"""Bounds in rho, phi, z (metres, radians, metres) of the published Cylinder3D's grid."""
_FARTHEST = 2**20  # voxels from the origin along an axis; beyond it float32 cannot resolve positions in a voxel


class CartesianGrid:
    """Cubes of equal size, without bounds.

    Args:
        voxel_size: Edge of a voxel, metres; also the attribute `edge`.

    Raises:
        ConfigError: The size is not positive.
    """

    size: Triple | None = None

    def __init__(self, voxel_size: float) -> None:
        if not 0 < voxel_size < math.inf:
            raise ConfigError(f"voxel_size must be a positive number of metres, got {voxel_size}")
        self.voxel_size = self.edge = voxel_size

    def units(self, points: Tensor) -> Tensor:
        """Return the positions (N, 3) in voxels of points (N, 3) in metres, differentiable; voxel k is [k, k + 1)."""
        return points / self.voxel_size

    def places(self, points: Tensor) -> Tensor:
        """Return `units`, since nothing lies outside."""
        return self.units(points)

    def voxels(self, points: Tensor) -> Tensor:
        """Return the voxel (N, 3) int64 that each point lies in.

        Raises:
            DataError: A coordinate is not finite, or too far away.
        """
        units = self.units(points.detach())
        if not bool((units.abs() < _FARTHEST).all()):  # also NaN
            row = int((~(units.abs() < _FARTHEST).all(dim=1)).nonzero()[0])
            raise DataError(
                f"point {row} lies at {points[row].tolist()}; coordinates must be finite and within "
                f"{_FARTHEST * self.voxel_size:.0f} m of the origin"
            )
        return units.floor().long()

    def moves(self, points: Tensor, distance: float) -> Tensor:
        """Return the largest move (N, 3), in voxels, that at most `distance` metres along x, y and z make."""
        return torch.full_like(points, distance / self.voxel_size)


class CylindricalGrid:
    """Cells of equal width in rho, phi and z between bounds; points outside belong to the cells at the border.

    As in the published Cylinder3D, a cell is 1 / (cells - 1) of the range wide along each axis, and the grid does not
    wrap around: the first and the last cell in phi touch behind the sensor, but they are no neighbours in the network's
    convolutions, nor for the leaded gradient. A point that crosses this seam still changes its cell.

    Args:
        size: Number of cells along rho, phi, z.
        low: Lower bounds: metres, radians, metres.
        high: Upper bounds.

    Attributes:
        edge: Width of a cell along rho, metres.
    """

    def __init__(
        self,
        size: Triple,
        low: tuple[float, float, float] = LOW,
        high: tuple[float, float, float] = HIGH,
    ) -> None:
        if min(size) < 2 or any(a >= b for a, b in zip(low, high, strict=True)):
            raise ConfigError(
                f"a cylindrical grid needs at least 2 cells an axis and low < high, got {size} {low} {high}"
            )
        self.size: Triple | None = size
        self.low, self.high = low, high
        self.edge = (high[0] - low[0]) / (size[0] - 1)

    def interval(self, like: Tensor) -> Tensor:
        """Return the widths of a cell, (3,)."""
        low, high = like.new_tensor(self.low), like.new_tensor(self.high)
        return (high - low) / (like.new_tensor(self.size) - 1)

    def cylindrical(self, points: Tensor) -> Tensor:
        """Return rho, phi, z (N, 3), differentiable; on the axis the gradient of rho and phi is 0."""
        x, y, z = points.unbind(dim=1)
        on_axis = x.square() + y.square() == 0  # also if the squares underflow
        safe_x = torch.where(on_axis, torch.ones_like(x), x)
        rho = torch.where(on_axis, torch.zeros_like(x), (safe_x.square() + y.square()).sqrt())
        phi = torch.where(on_axis, torch.atan2(y, x).detach(), torch.atan2(y, safe_x))
        return torch.stack([rho, phi, z], dim=1)

    def units(self, points: Tensor) -> Tensor:
        """Return positions (N, 3) in cells, differentiable; clipped to the bounds, where the gradient is 0."""
        low, high = points.new_tensor(self.low), points.new_tensor(self.high)
        place = self.cylindrical(points)
        return (place.maximum(low).minimum(high) - low) / self.interval(points)

    def places(self, points: Tensor) -> Tensor:
        """Return positions (N, 3) in cells without clipping; those outside the bounds are outside the grid."""
        return (self.cylindrical(points) - points.new_tensor(self.low)) / self.interval(points)

    def voxels(self, points: Tensor) -> Tensor:
        """Return the cell (N, 3) int64 of each point.

        Raises:
            DataError: A coordinate is not finite.
        """
        if not bool(points.isfinite().all()):
            row = int((~points.isfinite().all(dim=1)).nonzero()[0])
            raise DataError(f"point {row} lies at {points[row].tolist()}; coordinates must be finite")
        return self.units(points.detach()).floor().long()

    def moves(self, points: Tensor, distance: float) -> Tensor:
        """Return the largest move (N, 3), in cells, that at most `distance` metres along x, y and z make."""
        around = math.sqrt(2) * distance
        rho = points[:, :2].norm(dim=1)
        turn = torch.where(rho > around, torch.asin((around / rho.clamp(min=around)).clamp(max=1)), math.pi)
        metres = torch.stack([torch.full_like(rho, around), turn, torch.full_like(rho, distance)], dim=1)
        return metres / self.interval(points)

    def centres(self, voxels: Tensor, like: Tensor) -> Tensor:
        """Return the centres (M, 3) = rho, phi, z of cells (M, 3)."""
        return (voxels + 0.5) * self.interval(like) + like.new_tensor(self.low)


Grid = CartesianGrid | CylindricalGrid
