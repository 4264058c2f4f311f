"""How much a victim computes while an attack takes its gradient (Tao et al. 2024, Table VI)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lgm_bench.sparse.cost import Cost, counted_cost


class Work:
    """What the forward passes of some scenes took.

    Args:
        cost: Their operations, counted as the passes run.
    """

    def __init__(self, cost: Cost) -> None:
        self.cost = cost
        self.scenes: list[Tensor] = []

    def voxels(self, n_scenes: int) -> Tensor:
        """Return the voxels (B,) int64 that took part in each scene, on the CPU."""
        return torch.bincount(torch.cat(self.scenes), minlength=n_scenes).cpu()

    def gflops(self, n_scenes: int) -> Tensor:
        """Return the operations (B,) float64 of each scene, in 1e9."""
        return self.cost.of_scenes(n_scenes) / 1e9


@contextmanager
def counted_work(victim: Any) -> Iterator[Work]:
    """Yield what counts the work of `victim` in this block; the block may hold several passes."""

    def note(_module: nn.Module, _arguments: Any, voxels: Any) -> None:
        work.scenes.append(voxels.coordinates[:, 0])

    with counted_cost() as cost:
        work = Work(cost)
        handle = victim.voxelization.register_forward_hook(note)
        try:
            yield work
        finally:
            handle.remove()
