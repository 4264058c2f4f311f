"""How much a victim computes while an attack takes its gradient (Tao et al. 2024, Table VI)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Work:
    """What the passes through a victim took.

    Attributes:
        scenes: Scene numbers of the voxels of each pass.
    """

    def __init__(self) -> None:
        self.scenes: list[Tensor] = []

    def voxels(self, n_scenes: int) -> Tensor:
        """Return the voxels (B,) int64 that took part in each scene, on the CPU."""
        return torch.bincount(torch.cat(self.scenes), minlength=n_scenes).cpu()


@contextmanager
def counted_work(victim: Any) -> Iterator[Work]:
    """Yield what counts the work of `victim` in this block; the block may hold several passes."""
    work = Work()

    def note(_module: nn.Module, _arguments: Any, voxels: Any) -> None:
        work.scenes.append(voxels.coordinates[:, 0])

    handle = victim.voxelization.register_forward_hook(note)
    try:
        yield work
    finally:
        handle.remove()
