"""Architecture change of networks on voxels: which voxels an attack empties and which it fills."""

from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError


class VoxelChange(NamedTuple):
    """Counts of occupied voxels by scene, each (B,) int64.

    Attributes:
        before: Voxels before the attack.
        after: Voxels after it.
        appeared: Those that only the attacked cloud occupies.
        disappeared: Those that only the clean cloud occupies.
        union: Those that either occupies.
    """

    before: Tensor
    after: Tensor
    appeared: Tensor
    disappeared: Tensor
    union: Tensor


def voxel_change(before: Tensor, after: Tensor, n_scenes: int | None = None) -> VoxelChange:
    """Compare the voxels of clean and attacked clouds.

    Args:
        before: (M, 4) int64 = scene, x, y, z, each once.
        after: (M', 4) the same.
        n_scenes: B; None: as many as occur.

    Raises:
        ConfigError: A shape is wrong, or a voxel is listed twice.

    >>> change = voxel_change(torch.tensor([[0, 1, 1, 1], [0, 2, 1, 1]]), torch.tensor([[0, 2, 1, 1], [0, 3, 1, 1]]))
    >>> change.appeared.item(), change.disappeared.item(), change.union.item()
    (1, 1, 3)
    """
    for name, voxels in (("before", before), ("after", after)):
        if voxels.ndim != 2 or voxels.shape[1] != 4 or voxels.dtype != torch.int64:
            raise ConfigError(f"voxels {name} must be (M, 4) int64, got {tuple(voxels.shape)} {voxels.dtype}")
    voxels, row = torch.unique(torch.cat([before, after]), dim=0, return_inverse=True)
    n_before, n_after = (torch.bincount(part, minlength=len(voxels)) for part in row.split([len(before), len(after)]))
    if bool((n_before > 1).any()) or bool((n_after > 1).any()):
        double = voxels[(n_before > 1) | (n_after > 1)][0].tolist()
        raise ConfigError(f"voxel {double} (scene, x, y, z) is listed twice; list every voxel once")
    was, is_now, scene = n_before == 1, n_after == 1, voxels[:, 0]
    size = n_scenes or (int(scene.max()) + 1 if len(scene) else 0)

    def count(chosen: Tensor) -> Tensor:
        return torch.bincount(scene[chosen], minlength=size)

    return VoxelChange(count(was), count(is_now), count(is_now & ~was), count(was & ~is_now), count(was | is_now))
