"""Layers on single rows, computed chunk by chunk: nothing but their inputs and outputs is kept."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 2048
"""Rows per chunk: with some hundred channels, all intermediate results of a chunk fit into a core's cache."""


def by_chunks(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Return function(*inputs), (N, C), from chunks of the inputs' N rows; the backward pass computes each again.

    Differentiable once, with respect to the inputs only.

    Args:
        function: Maps rows of all inputs to the same rows of the result, each row by itself.
        inputs: (N, ...) each.
    """
    result: Tensor = _Chunks.apply(function, *inputs)
    return result


class _Chunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(*inputs)
        return torch.cat(
            [function(*chunk) for chunk in zip(*(torch.split(rows, ROWS) for rows in inputs), strict=True)]
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, needed = ctx.saved_tensors, ctx.needs_input_grad[1:]
        results = [torch.empty_like(rows) if needs else None for rows, needs in zip(inputs, needed, strict=True)]
        for first in range(0, len(gradient), ROWS):
            chunk = slice(first, first + ROWS)
            leaves = [rows[chunk].detach().requires_grad_(needs) for rows, needs in zip(inputs, needed, strict=True)]
            with torch.enable_grad():
                out = ctx.function(*leaves)
            wanted = [leaf for leaf in leaves if leaf.requires_grad]
            found = iter(torch.autograd.grad(out, wanted, gradient[chunk]))
            for result in results:
                if result is not None:
                    result[chunk] = next(found)
        return None, *results
