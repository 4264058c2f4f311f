"""Sums of a convolution over its kernel map with gradients to features and weight: compiled, or in plain PyTorch."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lgm_bench.sparse.compiled import FLOATING, call, usable
from lgm_bench.sparse.kernel_map import KernelMap


def product(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Return out (M, C_out) with out[target] = sum of features[source] @ weight[k] over the pairs; differentiable once.

    Args:
        features: (N, C_in).
        weight: (K, C_in, C_out).
        kernel_map: K offsets, from N rows to M.
    """
    result: Tensor = _Product.apply(features, weight, kernel_map)
    return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features if ctx.needs_input_grad[1] else None, weight)
        ctx.kernel_map = kernel_map
        return summed_products(features, weight, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        to_features = to_weight = None
        if ctx.needs_input_grad[0]:
            turned = weight.transpose(1, 2)
            if kernel_map.symmetric:
                to_features = summed_products(gradient, turned.flip(0), kernel_map)
            else:
                to_features = summed_products(gradient, turned, kernel_map.transposed)
        if ctx.needs_input_grad[1]:
            to_weight = weight_gradient(features, gradient, kernel_map)
        return to_features, to_weight, None


def summed_products(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Return `product` (M, C_out) without a gradient."""
    out = features.new_zeros(kernel_map.n_targets, weight.shape[2])
    if not _compiled(features, weight):
        for (source, target), matrix in zip(kernel_map.pairs(), weight, strict=True):
            out.index_add_(0, target, features[source] @ matrix)
        return out
    features, weight, starts = features.contiguous(), weight.contiguous(), kernel_map.blocks
    tensors = (features, weight, out, kernel_map.source, kernel_map.target, starts)
    call(f"convolve_{FLOATING[features.dtype]}", *tensors, len(starts) - 1, *weight.shape, torch.get_num_threads())
    return out


def weight_gradient(features: Tensor, gradient: Tensor, kernel_map: KernelMap) -> Tensor:
    """Return the sum of features[source]^T gradient[target] of each offset, (K, C_in, C_out).

    The features are (N, C_in), the gradient of the output is (M, C_out).
    """
    if not _compiled(features, gradient):
        return torch.stack([features[source].T @ gradient[target] for source, target in kernel_map.pairs()])
    features, gradient = features.contiguous(), gradient.contiguous()
    sizes = (len(kernel_map.counts), features.shape[1], gradient.shape[1])
    out = features.new_empty(sizes)
    begins = torch.tensor([0, *kernel_map.counts]).cumsum(0)
    tensors = (features, gradient, out, kernel_map.source, kernel_map.target, begins)
    call(f"weight_gradient_{FLOATING[features.dtype]}", *tensors, *sizes, torch.get_num_threads())
    return out


def _compiled(features: Tensor, other: Tensor) -> bool:
    """Return whether there is compiled code for two tensors, which must have the same type."""
    return features.dtype in FLOATING and features.dtype == other.dtype and usable(features, other)
