"""Norms with what stands around them, in one compiled pass, against plain PyTorch and finite differences."""

from contextlib import nullcontext

import pytest
import torch
from clouds import cloud, plain_pytorch
from torch import nn

from lgm_bench.sparse import SparseBatchNorm, SparseConv3d, SparseTensor, compiled
from lgm_bench.sparse.norm import _Norm, normalized

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="no C++ compiler")


def norm(channels: int, dtype: torch.dtype = torch.float64) -> nn.BatchNorm1d:
    """A frozen norm that is no identity; one of its factors is negative."""
    generator = torch.Generator().manual_seed(0)
    made = nn.BatchNorm1d(channels).to(dtype).eval().requires_grad_(False)
    for values in (made.running_mean, made.weight, made.bias):
        values.normal_(generator=generator)
    made.running_var.uniform_(0.5, 2.0, generator=generator)
    return made


@pytest.mark.parametrize(("before", "after"), [(1.0, 1.0), (1.0, 0.0), (0.01, 1.0), (0.2, 0.01)])
@pytest.mark.parametrize("leaded", [True, False])
@pytest.mark.parametrize("channels", [1, 20, 33])
def test_values_and_gradients_of_plain_pytorch(channels, leaded, before, after):
    coordinates, outcomes = cloud(200, 6), []
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(len(coordinates), 3, dtype=torch.float64, generator=generator)
    occupancy = torch.rand(len(coordinates), dtype=torch.float64, generator=generator).round(decimals=1)  # some are 0
    convolution = SparseConv3d(3, channels, 3).double().requires_grad_(False)
    cotangent = torch.randn(len(coordinates), channels, dtype=torch.float64, generator=generator)
    for way in (nullcontext, plain_pytorch):
        leaves = [features.clone().requires_grad_(), occupancy.clone().requires_grad_()][: 1 + leaded]
        with way():
            x = convolution(SparseTensor(coordinates, leaves[0], *leaves[1:]))
            out = normalized(x, norm(channels), before=before, after=after).features
        outcomes.append((out.detach(), *torch.autograd.grad((out * cotangent).sum(), leaves)))
        assert ("_Norm" in out.grad_fn.name() or leaded) == (way is nullcontext or leaded)
    for mine, its in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-10, atol=1e-12)


def test_gradients_by_finite_differences():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 19, dtype=torch.float64, generator=generator, requires_grad=True)
    occupancy = torch.rand(5, dtype=torch.float64, generator=generator, requires_grad=True)
    scale, shift = torch.randn(2, 19, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda *leaves: _Norm.apply(*leaves, scale, shift, 0.3, 0.1), (x, occupancy))


@pytest.mark.parametrize("learns", ["statistics", "parameters"])
def test_a_norm_that_learns_is_pytorchs(learns):
    layer = SparseBatchNorm(4)
    layer.train(learns == "statistics")
    x = SparseTensor(cloud(30), torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.rand(30))
    layer(x, after=0.0).features.sum().backward()
    assert layer.bn.weight.grad.abs().sum() > 0
    assert (layer.bn.num_batches_tracked > 0) == (learns == "statistics")


def test_single_precision_and_features_that_await_nothing():
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    for occupancy in (None, torch.rand(30, generator=torch.Generator().manual_seed(1))):
        x = SparseTensor(cloud(30), features, occupancy)
        found = [normalized(x, norm(4, torch.float32), after=0.01).features]
        with plain_pytorch():
            found.append(normalized(x, norm(4, torch.float32), after=0.01).features)
        torch.testing.assert_close(*found)
