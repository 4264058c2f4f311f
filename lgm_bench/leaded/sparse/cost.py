"""What a forward pass costs: operations counted as the paper's Table VI counts them, and voxels."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lgm_bench.leaded.sparse.level import CoordinateLevel


@dataclass(eq=False)
class Cost:
    """Operations and voxels, added up over the forward passes inside a `counted_cost`.

    Attributes:
        operations: Multiplications and additions.
        voxels: Voxels of the finest levels.
    """

    operations: int = 0
    voxels: int = 0

    @property
    def gflops(self) -> float:
        """Operations in 1e9."""
        return self.operations / 1e9


_cost: ContextVar[Cost | None] = ContextVar("cost", default=None)


@contextmanager
def counted_cost() -> Iterator[Cost]:
    """Count the forward passes inside; a backward pass costs nothing here, other threads count for themselves.

    A convolution counts 2 * pairs * C_in * C_out, a linear layer 2 * rows * C_in * C_out, a batch norm
    2 * rows * C, a product with the occupancy rows * C (Tao et al. 2024, Table VI).
    """
    cost = Cost()
    token = _cost.set(cost)
    try:
        yield cost
    finally:
        _cost.reset(token)


def count_products(rows: int, in_channels: int, out_channels: int) -> None:
    """Count a matrix product of each row: the pairs of a kernel map, or the rows of a linear layer's input."""
    _count(2 * rows * in_channels * out_channels)


def count_norm(rows: int, channels: int) -> None:
    """Count a batch norm."""
    _count(2 * rows * channels)


def count_occupancy(rows: int, channels: int) -> None:
    """Count a product with the occupancy."""
    _count(rows * channels)


def count_voxels(level: "CoordinateLevel") -> None:
    """Count the voxels of a level once, if it is a finest one."""
    cost = _cost.get()
    if cost is not None and level.finer is None:
        level.once(cost, lambda: _add_voxels(cost, len(level)))


def _count(operations: int) -> None:
    cost = _cost.get()
    if cost is not None:
        cost.operations += operations


def _add_voxels(cost: Cost, voxels: int) -> None:
    cost.voxels += voxels
