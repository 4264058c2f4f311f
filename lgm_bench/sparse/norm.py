"""Batch norm with the activations and the products with the occupancy around it, in one pass where that is possible."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lgm_bench.sparse.compiled import FLOATING, call, usable
from lgm_bench.sparse.cost import count_norm, count_occupancy
from lgm_bench.sparse.tensor import SparseTensor


def normalized(x: SparseTensor, norm: nn.BatchNorm1d, *, before: float = 1.0, after: float = 1.0) -> SparseTensor:
    """Return after(o * norm(before(x))) on the same voxels, where o is the occupancy if there is one.

    One compiled pass does it if the norm is frozen: in eval mode, and its parameters need no gradient. It also forms
    the product with the occupancy that `x` awaits, and keeps nothing but what that product is formed from.

    Args:
        x: The voxels.
        norm: The batch norm.
        before: Slope below 0 of a leaky ReLU in front of the norm; 0: a ReLU, 1: none.
        after: The same behind the product with the occupancy.
    """
    count_norm(x.coordinates[:, 0], x.unmultiplied.shape[1])
    constants = _scale_and_shift(norm)
    if constants is None or not _fusible(x, constants[0]):
        y = x.with_features(norm(_leaky(x.features, before))).occupied()
        return y if after == 1 else y.with_features(_leaky(y.features, after))
    if x.occupancy is not None:
        count_occupancy(x.coordinates[:, 0], x.unmultiplied.shape[1])
    return x.with_features(_Norm.apply(x.unmultiplied, x.occupancy, *constants, before, after))


def _scale_and_shift(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor] | None:
    """Return the norm as a factor and a summand, (C,) each; None unless it is frozen."""
    mean, variance = norm.running_mean, norm.running_var
    learns = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in norm.parameters())
    if norm.training or learns or mean is None or variance is None:
        return None
    scale = (variance + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight
    return scale, -mean * scale if norm.bias is None else norm.bias - mean * scale


def _fusible(x: SparseTensor, scale: Tensor) -> bool:
    """Return whether compiled code can be used: all types are the same and known, and the first product is due."""
    features, occupancy = x.unmultiplied, x.occupancy
    known = features.dtype in FLOATING and features.dtype == scale.dtype and usable(features, scale)
    return known and (occupancy is None or (x.awaits_occupancy and occupancy.dtype == features.dtype))


def _leaky(values: Tensor, slope: float) -> Tensor:
    return values if slope == 1 else F.relu(values) if slope == 0 else F.leaky_relu(values, slope)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, occupancy: Tensor | None, scale: Tensor, shift: Tensor, before: float, after: float
    ) -> Tensor:
        x, out = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
        occupancy = None if occupancy is None else occupancy.contiguous()
        constants = (scale.contiguous(), shift.contiguous(), x.new_tensor([before, after]))
        _call("norm", x, occupancy, *constants, out)
        ctx.save_for_backward(x, occupancy, *constants)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, occupancy, *constants = ctx.saved_tensors
        to_x, to_occupancy = torch.empty_like(x), None if occupancy is None else torch.empty_like(occupancy)
        _call("norm_gradient", x, occupancy, *constants, gradient.contiguous(), to_x, to_occupancy)
        return to_x, to_occupancy, None, None, None, None


def _call(name: str, x: Tensor, *arguments: Tensor | None) -> None:
    addresses = (0 if argument is None else argument for argument in arguments)
    call(f"{name}_{FLOATING[x.dtype]}", x, *addresses, *x.shape, torch.get_num_threads())
