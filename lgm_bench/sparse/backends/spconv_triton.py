"""spconv-triton: its Triton kernels over our kernel maps, on GPUs of NVIDIA and AMD."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lgm_bench.errors import ConfigError
from lgm_bench.sparse.backends import Convolution
from lgm_bench.sparse.kernel_map import KernelMap
from lgm_bench.sparse.product import product, weight_gradient

_KERNEL_TYPES = (torch.float32, torch.float16, torch.bfloat16)
_MASK_BITS = 31  # a mask is one int32, whose sign bit stays free


@dataclass(frozen=True, eq=False)
class _Table:
    """A kernel map in spconv's form.

    Attributes:
        sources: (K, M) int32, the row of the input for each offset and row of the output; -1 where there is no pair.
        masks: The offsets that have a pair, as bits of one int32 per row of the output, in ascending order. The
            kernels skip offsets that a whole block of rows lacks. None for large kernels.
        order: (M,) int32, the row of the output that each mask belongs to.
    """

    sources: Tensor
    masks: Tensor | None
    order: Tensor | None


class SpconvTritonBackend:
    """Gathers and multiplies with the implicit GEMM of spconv-triton; double precision takes our plain PyTorch path.

    Raises:
        ImportError: spconv-triton or Triton is not installed.
        ConfigError: There is no GPU.
    """

    name = "spconv-triton"

    def __init__(self) -> None:
        from spconv_triton.pytorch import ops

        if not torch.cuda.is_available():
            raise ConfigError("spconv-triton computes on GPUs, and there is none here; leave out the backend")
        self.ops: ModuleType = ops
        self._tables: WeakKeyDictionary[KernelMap, _Table] = WeakKeyDictionary()

    def convolve(self, features: Tensor, weight: Tensor, convolution: Convolution) -> Tensor:
        """Return the sums over the pairs.

        Raises:
            ConfigError: The tensors are not on a GPU.
        """
        if not features.is_cuda:
            raise ConfigError(f"spconv-triton computes on GPUs, not on {features.device}; leave out the backend")
        if features.dtype not in _KERNEL_TYPES:
            return product(features, weight, convolution.kernel_map)
        if len(weight) == 1 and convolution.source is convolution.target:
            return features @ weight[0]
        result: Tensor = _Product.apply(features, weight, convolution.kernel_map, self)
        return result

    def sums(self, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        """Return out (M, C_out), out[target] = sum of features[source] @ weight[k], without a gradient."""
        if kernel_map not in self._tables:
            self._tables[kernel_map] = _table(kernel_map)
        table = self._tables[kernel_map]
        masks, order, splits = ([], [], []) if table.masks is None else ([table.masks], [table.order], [None])
        kernel = weight.permute(2, 0, 1).contiguous()  # (C_out, K, C_in), as in spconv's checkpoints
        n = kernel_map.n_targets
        out: Tensor = self.ops.implicit_gemm(features, kernel, table.sources, masks, order, n, splits, False, False)[0]
        return out


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap, backend: SpconvTritonBackend
    ) -> Tensor:
        ctx.save_for_backward(features if ctx.needs_input_grad[1] else None, weight)
        ctx.kernel_map, ctx.backend = kernel_map, backend
        return backend.sums(features, weight, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        to_features = to_weight = None
        if ctx.needs_input_grad[0]:
            turned = weight.transpose(1, 2)
            turned, back = (turned.flip(0), kernel_map) if kernel_map.symmetric else (turned, kernel_map.transposed)
            to_features = ctx.backend.sums(gradient, turned, back)
        if ctx.needs_input_grad[1]:
            to_weight = weight_gradient(features, gradient, kernel_map)
        return to_features, to_weight, None, None


def _table(kernel_map: KernelMap) -> _Table:
    device, n, counts = kernel_map.source.device, kernel_map.n_targets, kernel_map.counts
    places = torch.arange(len(counts), device=device) * n
    repeats = torch.tensor(counts, device=device)
    flat = torch.full((len(counts) * n,), -1, dtype=torch.int32, device=device)
    rows = places.repeat_interleave(repeats, output_size=len(kernel_map.target)) + kernel_map.target
    flat[rows] = kernel_map.source.int()
    sources = flat.view(len(counts), n)
    if len(counts) > _MASK_BITS:
        return _Table(sources, None, None)
    bits = torch.tensor([1 << k for k in range(len(counts))], dtype=torch.int32, device=device)
    masks, order = ((sources >= 0) * bits[:, None]).sum(0, dtype=torch.int32).sort()
    return _Table(sources, masks, order.int())
