"""Coordinate levels: the voxels of one resolution, their occupancy, and the kernel maps built on them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from lgm_bench.errors import DataError
from lgm_bench.sparse.keys import KeySpace, Triple, sorted_keys

if TYPE_CHECKING:
    from lgm_bench.sparse.kernel_map import KernelMap

Built = TypeVar("Built")


class CoordinateLevel:
    """Voxels of one resolution, in the order in which a tensor's features list them.

    Args:
        coordinates: (N, 4) int64 = batch, x, y, z, unique, all multiples of `stride`.
        stride: Distance of neighbours along x, y, z, in units of the finest level.
        occupancy: (N,) in [0, 1], or None: all voxels are simply there.

    Attributes:
        lowest: (4,) smallest batch, x, y, z.
        highest: (4,) largest ones.
        order: (N,) int64 rows in the ascending order of batch, x, y, z.
        finer: The level that this one was made from, if any.
        finer_map: The pairs that lead from there to here, where a convolution's windows made this level.

    Raises:
        DataError: The shape or type is wrong, a voxel is listed twice, or the extent is too large for 64-bit keys.
    """

    def __init__(
        self,
        coordinates: Tensor,
        stride: Triple = (1, 1, 1),
        occupancy: Tensor | None = None,
    ) -> None:
        if coordinates.ndim != 2 or coordinates.shape[1] != 4 or coordinates.dtype != torch.int64:
            raise DataError(
                f"coordinates must be (N, 4) int64 = batch, x, y, z, got {tuple(coordinates.shape)} {coordinates.dtype}"
            )
        if len(coordinates) == 0:
            raise DataError("a sparse tensor needs at least one voxel, got none; is the scene empty?")
        if occupancy is not None and occupancy.shape != coordinates.shape[:1]:
            raise DataError(f"occupancy must be ({len(coordinates)},), got {tuple(occupancy.shape)}")
        self.coordinates = coordinates
        self.stride = stride
        self.occupancy = occupancy
        self.finer: CoordinateLevel | None = None
        self.finer_map: KernelMap | None = None
        self.lowest = coordinates.amin(dim=0)
        self.highest = coordinates.amax(dim=0)
        self.order = self._sorted_order()
        self._built: dict[object, object] = {}

    def __len__(self) -> int:
        return len(self.coordinates)

    def once(self, name: object, build: Callable[[], Built]) -> Built:
        """Return what `build` gives, calling it only the first time for this `name`."""
        if name not in self._built:
            self._built[name] = build()
        return self._built[name]  # type: ignore[return-value]

    def _sorted_order(self) -> Tensor:
        """Return the rows (N,) in ascending order of batch, x, y, z; checks that no voxel is there twice."""
        keys = KeySpace(self.lowest, self.highest).keys(self.coordinates)
        ascending, order = sorted_keys(keys)
        if len(keys) > 1 and bool((ascending[1:] == ascending[:-1]).any()):
            row = int(order[:-1][ascending[1:] == ascending[:-1]][0])
            raise DataError(
                f"voxel {self.coordinates[row].tolist()} (batch, x, y, z) is listed twice; merge its points"
            )
        return order
