"""Voxels as whole numbers: their keys, sorted, and the distinct ones."""

import torch
from torch import Tensor

from lgm_bench.errors import DataError
from lgm_bench.sparse.compiled import call, usable

Triple = tuple[int, int, int]
_LARGEST_KEY = 2**62


class KeySpace:
    """Maps coordinates inside a box to integers in the order of batch, x, y, z; a shift in space is a constant.

    Args:
        lowest: Smallest coordinates (4,) that have to be told apart.
        highest: Largest ones.

    Raises:
        DataError: The box has too many cells.
    """

    def __init__(self, lowest: Tensor, highest: Tensor) -> None:
        self.lowest = lowest
        extents = [high - low + 1 for low, high in zip(lowest.tolist(), highest.tolist(), strict=True)]  # of any size
        self.factors = (extents[1] * extents[2] * extents[3], extents[2] * extents[3], extents[3], 1)
        if self.factors[0] * extents[0] > _LARGEST_KEY:
            raise DataError(
                f"the voxels span {extents[1]} x {extents[2]} x {extents[3]} cells in {extents[0]} batches, more than "
                "64-bit keys can tell apart; remove outliers or enlarge the voxels"
            )

    def keys(self, coordinates: Tensor) -> Tensor:
        """Return the keys (N,) int64 of coordinates (N, 4) inside the box."""
        result = coordinates[:, 3] - self.lowest[3]  # column by column: five times faster than a sum over rows
        for axis, factor in enumerate(self.factors[:3]):
            result += (coordinates[:, axis] - self.lowest[axis]) * factor
        return result

    def shift(self, offset: Triple) -> int:
        """Return the difference of the keys of two voxels that are `offset` (x, y, z) apart."""
        return sum(o * f for o, f in zip(offset, self.factors[1:], strict=True))


def sorted_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return keys (N,) int64 >= 0 in ascending order and the row (N,) of each; equal keys keep their order."""
    if not usable(keys):
        ascending, order = keys.sort(stable=True)
        return ascending, order
    keys = keys.contiguous()
    ascending, order = torch.empty_like(keys), torch.empty_like(keys)
    call("sort_keys", keys, len(keys), ascending, order)
    return ascending, order


def unique_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct keys (M,) int64 >= 0 in ascending order, and for each row (N,) the place of its key there."""
    if not usable(keys):
        unique, place = torch.unique(keys, return_inverse=True)
        return unique, place
    keys = keys.contiguous()
    unique, place = torch.empty_like(keys), torch.empty_like(keys)
    count = call("unique_keys", keys, len(keys), unique, place)
    return unique[:count].clone(), place


def unique_voxels(voxels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct rows (M, 4) of voxels (P, 4) in ascending order, and the row (P,) that each became.

    Raises:
        DataError: There are none, or their extent is too large for 64-bit keys.
    """
    if len(voxels) == 0:
        raise DataError("there are no points, and so no voxels; is the scene empty?")
    keys = KeySpace(voxels.amin(dim=0), voxels.amax(dim=0)).keys(voxels)
    unique, row = unique_keys(keys)
    coordinates = voxels.new_empty(len(unique), voxels.shape[1])
    coordinates[row] = voxels
    return coordinates, row
