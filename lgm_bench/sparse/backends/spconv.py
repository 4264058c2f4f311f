"""spconv 2.x: its products over the pairs of our kernel maps."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lgm_bench.sparse.backends import Convolution
from lgm_bench.sparse.kernel_map import KernelMap


class SpconvBackend:
    """Gathers, multiplies and scatters with the functions of spconv; in one thread on the CPU.

    Raises:
        ImportError: spconv is not installed.
    """

    name = "spconv"

    def __init__(self) -> None:
        from spconv.core import ConvAlgo
        from spconv.pytorch import ops

        if not torch.cuda.is_available():
            ops.get_current_stream = lambda: 0  # the original needs a driver
        self.ops: ModuleType = ops
        self.algorithm = ConvAlgo.Native
        self._pairs: WeakKeyDictionary[KernelMap, tuple[Tensor, Tensor]] = WeakKeyDictionary()

    def convolve(self, features: Tensor, weight: Tensor, convolution: Convolution) -> Tensor:
        """Return the sums over the pairs."""
        kernel_map = convolution.kernel_map
        if kernel_map not in self._pairs:
            self._pairs[kernel_map] = _pairs(kernel_map)
        result: Tensor = _Product.apply(features, weight, self._pairs[kernel_map], kernel_map.n_targets, self)
        return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, pairs: tuple[Tensor, Tensor], n: int, backend: SpconvBackend
    ) -> Tensor:
        kernel = weight.permute(2, 0, 1)[:, :, None, None].contiguous()  # (C_out, K, 1, 1, C_in)
        ctx.save_for_backward(features, kernel)
        ctx.pairs, ctx.backend = pairs, backend
        with _one_thread(features):
            result: Tensor = backend.ops.indice_conv(features, kernel, *pairs, n, algo=backend.algorithm)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, kernel = ctx.saved_tensors
        with _one_thread(features):
            to_features, to_kernel = ctx.backend.ops.indice_conv_backward(
                features.contiguous(), kernel, gradient.contiguous(), *ctx.pairs, algo=ctx.backend.algorithm
            )
        return to_features, to_kernel.flatten(1, 3).permute(1, 2, 0), None, None, None


@contextmanager
def _one_thread(features: Tensor) -> Iterator[None]:
    """Use one thread on the CPU, since spconv's scattered sums have a data race with more and are silently wrong."""
    threads = torch.get_num_threads()
    if features.is_cuda or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _pairs(kernel_map: KernelMap) -> tuple[Tensor, Tensor]:
    """Return the pairs in spconv's form, (2, K, longest) int32 padded with -1, and their numbers (K,) int32."""
    device = kernel_map.source.device
    shape = (2, len(kernel_map.counts), max(kernel_map.counts))
    pairs = torch.full(shape, -1, dtype=torch.int32, device=device)
    for k, (source, target) in enumerate(kernel_map.pairs()):
        pairs[0, k, : len(source)], pairs[1, k, : len(target)] = source, target
    return pairs, torch.tensor(kernel_map.counts, dtype=torch.int32, device=device)
