"""From a level to the next coarser one, and what becomes of occupancy on the way."""

from torch import Tensor

from lgm_bench.sparse.keys import Triple, unique_voxels
from lgm_bench.sparse.level import CoordinateLevel


def coarser(level: CoordinateLevel, factor: Triple) -> CoordinateLevel:
    """Return the level of the voxels that hold those of `level`, built once; each at the multiple of its stride.

    A coarse voxel is occupied if one of its children is: o = 1 - prod(1 - o) (Tao et al. 2024, Eq. 36).

    Args:
        level: The finer voxels.
        factor: Coarse over fine stride along x, y, z.
    """
    return level.once(("coarser", factor), lambda: _coarser(level, factor))


def soft_or(occupancy: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Return 1 - prod(1 - o) over the members of each group, (n_groups,) (Tao et al. 2024, Eq. 31).

    The gradient is right also where members are exactly 0 or 1; it can be taken once.

    Args:
        occupancy: (N,) in [0, 1].
        group: (N,) int64 in [0, n_groups).
        n_groups: Number of groups; one without members gets 0.
    """
    ones = occupancy.new_ones(n_groups)
    return 1 - ones.scatter_reduce(0, group, 1 - occupancy, "prod", include_self=True)


def _coarser(level: CoordinateLevel, factor: Triple) -> CoordinateLevel:
    stride = (level.stride[0] * factor[0], level.stride[1] * factor[1], level.stride[2] * factor[2])
    steps = level.coordinates.new_tensor([1, *stride])
    floor = level.coordinates.div(steps, rounding_mode="floor") * steps
    coordinates, parent = unique_voxels(floor)
    occupancy = None if level.occupancy is None else soft_or(level.occupancy, parent, len(coordinates))
    coarse = CoordinateLevel(coordinates, stride, occupancy)
    coarse.finer = level
    return coarse
