"""The compiled sums over a kernel map: the products of a convolution, and the gradient of its weight."""

import torch
from torch import Tensor

from lgm_bench.sparse.compiled import FLOATING, call, usable
from lgm_bench.sparse.kernel_map import KernelMap


def fused_product(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor | None:
    """Return the sums over a map's pairs, or None where there is no compiled code for these tensors.

    Args:
        features: (N, C_in).
        weight: (K, C_in, C_out).
        kernel_map: K offsets.
    """
    if not _fit(features, weight):
        return None
    features, weight = features.contiguous(), weight.contiguous()
    starts = kernel_map.blocks
    out = features.new_zeros(kernel_map.n_targets, weight.shape[2])
    tensors = (features, weight, out, kernel_map.source, kernel_map.target, starts)
    call(f"convolve_{FLOATING[features.dtype]}", *tensors, len(starts) - 1, *weight.shape, torch.get_num_threads())
    return out


def fused_weight_gradient(features: Tensor, gradient: Tensor, kernel_map: KernelMap) -> Tensor | None:
    """Return the sum of features[source]^T gradient[target] of each offset, (K, C_in, C_out), or None as above.

    Args:
        features: (N, C_in).
        gradient: (M, C_out), that of the output.
        kernel_map: K offsets.
    """
    if not _fit(features, gradient):
        return None
    features, gradient = features.contiguous(), gradient.contiguous()
    sizes = (len(kernel_map.counts), features.shape[1], gradient.shape[1])
    out = features.new_empty(sizes)
    begins = torch.tensor([0, *kernel_map.counts]).cumsum(0)
    tensors = (features, gradient, out, kernel_map.source, kernel_map.target, begins)
    call(f"weight_gradient_{FLOATING[features.dtype]}", *tensors, *sizes, torch.get_num_threads())
    return out


def _fit(features: Tensor, other: Tensor) -> bool:
    """Return whether there is compiled code for both; of two types there is none, and PyTorch names them."""
    return features.dtype in FLOATING and features.dtype == other.dtype and usable(features, other)
