"""Reductions over groups of rows, such as the points of a voxel or the voxels of a scene."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lgm_bench.sparse.compiled import FLOATING, call, usable


def rows_of(values: Tensor, row: Tensor) -> Tensor:
    """Return values[row] for rows (K,) int64, with a deterministic gradient; that of indexing depends on threads."""
    return values.index_select(0, row)


def soft_or(occupancy: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Return 1 - prod(1 - o) over the members of each group, (n_groups,) (Tao et al. 2024, Eq. 31).

    The gradient is exact even if members are exactly 0 or 1; differentiable once.

    Args:
        occupancy: (N,) in [0, 1].
        group: (N,) int64 in [0, n_groups).
        n_groups: Number of groups; an empty group gets 0.
    """
    ones = occupancy.new_ones(n_groups)
    return 1 - ones.scatter_reduce(0, group, 1 - occupancy, "prod", include_self=True)


def group_maximum(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Return the maximum (n_groups, C) of each group's rows; differentiable once.

    Rows that share a maximum share its gradient evenly. An empty group gets -inf.

    Args:
        values: (N, C) floating point.
        group: (N,) int64 in [0, n_groups).
        n_groups: Number of groups.
    """
    if values.dtype not in FLOATING or not usable(values):  # the compiled gradient is faster than this one
        lowest = values.new_full((n_groups, values.shape[1]), -torch.inf)
        return lowest.scatter_reduce(0, group[:, None].expand_as(values), values, "amax")
    result: Tensor = _GroupMaximum.apply(values, group, n_groups)
    return result


class _GroupMaximum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, group: Tensor, n_groups: int) -> Tensor:
        values, group = values.contiguous(), group.contiguous()
        out = values.new_full((n_groups, values.shape[1]), -torch.inf)
        call(f"maximum_{FLOATING[values.dtype]}", values, group, out, *values.shape, torch.get_num_threads())
        ctx.save_for_backward(values, group, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        values, group, out = ctx.saved_tensors
        result = torch.empty_like(values)
        (rows, channels), threads = values.shape, torch.get_num_threads()
        tensors = (values, group, out, gradient.contiguous(), result)
        call(f"maximum_gradient_{FLOATING[values.dtype]}", *tensors, rows, len(out), channels, threads)
        return result, None, None
