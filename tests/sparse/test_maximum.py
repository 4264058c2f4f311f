"""Maxima of groups: compiled against plain PyTorch, gradients and ties included."""

from contextlib import nullcontext

import pytest
import torch
from clouds import plain_pytorch

from lgm_bench.sparse import compiled
from lgm_bench.sparse.groups import group_maximum


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 20, 70])
def test_values_and_gradients_of_plain_pytorch(dtype, channels):
    if compiled.library() is None:
        pytest.skip("no C++ compiler: compiled maxima are not available")
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-4, 4, (300, channels), generator=generator).to(dtype)  # with ties
    group = torch.randint(40, (300,), generator=generator)
    cotangent = torch.randn(42, channels, dtype=dtype, generator=generator)  # two groups are empty
    outcomes = []
    for way in (nullcontext, plain_pytorch):
        leaf = values.clone().requires_grad_()
        with way():
            out = group_maximum(leaf, group, 42)
        finite = torch.where(out.isfinite(), out, 0)
        outcomes.append((out.detach(), *torch.autograd.grad((finite * cotangent).sum(), leaf)))
    for mine, its in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, its)
    assert (outcomes[0][0][40:] == -torch.inf).all()


def test_nan_is_not_lost():
    values = torch.tensor([[1.0], [torch.nan], [2.0]])
    assert group_maximum(values, torch.zeros(3, dtype=torch.long), 1).isnan().all()
