"""Sparse tensors: voxels with features and occupancy."""

from functools import cached_property

from torch import Tensor

from lgm_bench.errors import DataError
from lgm_bench.sparse.cost import count_occupancy
from lgm_bench.sparse.level import CoordinateLevel


class SparseTensor:
    """Features on voxels.

    Args:
        coordinates: (N, 4) int64 = batch, x, y, z; every voxel once.
        features: (N, C) floating point.
        occupancy: (N,) in [0, 1] with the leaded gradient, or None for the hard network, in which every listed voxel is
            occupied (Tao et al. 2024, Eq. 34).
        level: An existing level of the voxels, instead of coordinates and occupancy.

    Attributes:
        level: The voxels.
        unmultiplied: (N, C) the features before the product with the occupancy that `occupied` asked for. The product
            is formed when `features` is read for the first time, so a layer that follows can form it in its own pass.
        awaits_occupancy: Whether there is such a product.

    Raises:
        DataError: Shapes or types do not fit, or a voxel is listed twice.
    """

    def __init__(
        self,
        coordinates: Tensor | None,
        features: Tensor,
        occupancy: Tensor | None = None,
        *,
        level: CoordinateLevel | None = None,
    ) -> None:
        if level is None:
            if coordinates is None:
                raise DataError("a sparse tensor needs coordinates (N, 4) or a level, got neither")
            level = CoordinateLevel(coordinates, occupancy=occupancy)
        if features.ndim != 2 or len(features) != len(level) or not features.is_floating_point():
            raise DataError(
                f"features must be ({len(level)}, channels) of a floating type, one row per voxel, got "
                f"{tuple(features.shape)} {features.dtype}"
            )
        self.level = level
        self.unmultiplied = features
        self.awaits_occupancy = False

    @cached_property
    def features(self) -> Tensor:
        """(N, C) floating point."""
        if not self.awaits_occupancy or self.occupancy is None:
            return self.unmultiplied
        return self.unmultiplied * self.occupancy[:, None]

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int64 = batch, x, y, z, multiples of the level's stride."""
        return self.level.coordinates

    @property
    def occupancy(self) -> Tensor | None:
        """(N,) in [0, 1]; None if every voxel is occupied."""
        return self.level.occupancy

    def with_features(self, features: Tensor) -> "SparseTensor":
        """Return other features (N, C') on the same voxels."""
        return SparseTensor(None, features, level=self.level)

    def occupied(self) -> "SparseTensor":
        """Return the features times the occupancy, f' = o(x) * Phi(f) (Tao et al. 2024, Eq. 4), if there is one."""
        if self.occupancy is None:
            return self
        result = self.with_features(self.features)
        count_occupancy(self.coordinates[:, 0], self.features.shape[1])
        result.awaits_occupancy = True
        return result

    def __repr__(self) -> str:
        kind = "hard" if self.occupancy is None else "leaded"
        n, channels = self.unmultiplied.shape
        return f"SparseTensor({n} voxels, {channels} channels, stride {self.level.stride}, {kind})"
