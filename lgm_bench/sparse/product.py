"""The sums of a convolution over its kernel map, with gradients to features and weight."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lgm_bench.sparse.fused import fused_product, fused_weight_gradient
from lgm_bench.sparse.kernel_map import KernelMap


def reference_product(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Return out (M, C_out), out[target] = sum of features[source] @ weight[k] over the pairs; plain PyTorch.

    Args:
        features: (N, C_in).
        weight: (K, C_in, C_out).
        kernel_map: K offsets, from N rows to M.
    """
    out = features.new_zeros(kernel_map.n_targets, weight.shape[2])
    for (source, target), matrix in zip(kernel_map.pairs(), weight, strict=True):
        out.index_add_(0, target, features[source] @ matrix)
    return out


def reference_weight_gradient(features: Tensor, gradient: Tensor, kernel_map: KernelMap) -> Tensor:
    """Return the sum of features[source]^T gradient[target] of each offset, (K, C_in, C_out); plain PyTorch.

    Args:
        features: (N, C_in).
        gradient: (M, C_out), that of the output.
        kernel_map: K offsets, from N rows to M.
    """
    return torch.stack([features[source].T @ gradient[target] for source, target in kernel_map.pairs()])


def product(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Return `reference_product`, by compiled code where there is some, differentiable once."""
    result: Tensor = _Product.apply(features, weight, kernel_map)
    return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        return _forward(features, weight, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        to_features = to_weight = None
        if ctx.needs_input_grad[0]:
            turned = weight.transpose(1, 2)
            if kernel_map.symmetric:
                to_features = _forward(gradient, turned.flip(0), kernel_map)
            else:
                to_features = _forward(gradient, turned, kernel_map.transposed)
        if ctx.needs_input_grad[1]:
            to_weight = fused_weight_gradient(features, gradient, kernel_map)
            if to_weight is None:
                to_weight = reference_weight_gradient(features, gradient, kernel_map)
        return to_features, to_weight, None


def _forward(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    out = fused_product(features, weight, kernel_map)
    return reference_product(features, weight, kernel_map) if out is None else out
