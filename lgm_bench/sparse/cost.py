"""Number of operations of a forward pass, counted as in Table VI of the paper."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

Rows = int | Tensor
"""The scene of each row of a layer, (R,) int64; or only the number of rows."""


class Cost:
    """Operations of all forward passes in a block of `counted_cost`."""

    def __init__(self) -> None:
        self._scenes = torch.zeros(0, dtype=torch.int64)
        self._of_no_scene = 0

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return int(self._scenes.sum()) + self._of_no_scene

    @property
    def gflops(self) -> float:
        """Billions of operations."""
        return self.operations / 1e9

    def of_scenes(self, n_scenes: int) -> Tensor:
        """Return the operations (B,) float64 of each scene; those of no scene are divided evenly."""
        counts = torch.zeros(n_scenes, dtype=torch.float64)
        counts[: len(self._scenes)] = self._scenes.double()
        return counts + self._of_no_scene / n_scenes

    def add(self, rows: Rows, each: int, pairs: Tensor | None = None) -> None:
        """Add `each` operations per row, or per pair; see `count_products`."""
        if isinstance(rows, int):
            self._of_no_scene += rows * each
            return
        if int(rows.max()) == 0:
            counts = torch.tensor([len(rows if pairs is None else pairs)])
        else:
            counts = torch.bincount(rows if pairs is None else rows[pairs]).cpu()
        longest = max(len(counts), len(self._scenes))
        total = torch.zeros(longest, dtype=torch.int64)
        total[: len(self._scenes)] += self._scenes
        total[: len(counts)] += each * counts
        self._scenes = total


_cost: ContextVar[Cost | None] = ContextVar("cost", default=None)


@contextmanager
def counted_cost() -> Iterator[Cost]:
    """Count the operations of forward passes in this block, in this thread; backward passes do not count.

    A convolution counts 2 * pairs * C_in * C_out, a linear layer 2 * rows * C_in * C_out, a batch norm
    2 * rows * C, a product with the occupancy rows * C (Tao et al. 2024, Table VI).
    """
    cost = Cost()
    token = _cost.set(cost)
    try:
        yield cost
    finally:
        _cost.reset(token)


def count_products(rows: Rows, in_channels: int, out_channels: int, pairs: Tensor | None = None) -> None:
    """Count a matrix product per row of a linear layer, or per pair of a kernel map with target rows (P,) int64."""
    _count(rows, 2 * in_channels * out_channels, pairs)


def count_norm(rows: Rows, channels: int) -> None:
    """Count a batch norm."""
    _count(rows, 2 * channels)


def count_occupancy(rows: Rows, channels: int) -> None:
    """Count a product with the occupancy."""
    _count(rows, channels)


def _count(rows: Rows, each: int, pairs: Tensor | None = None) -> None:
    cost = _cost.get()
    if cost is not None:
        cost.add(rows, each, pairs)
