"""Layers by chunks of rows, against the layers on all rows at once."""

import pytest
import torch
from torch import nn

from lgm_bench.sparse import chunks
from lgm_bench.sparse.chunks import by_chunks


@pytest.mark.parametrize("rows", [1, 5, 10, 23])
def test_values_and_gradients_of_all_rows_at_once(rows, monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", 5)
    layers = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 2)).double().requires_grad_(False)
    generator, outcomes = torch.Generator().manual_seed(0), []
    x = torch.randn(rows, 4, dtype=torch.float64, generator=generator)
    factor = torch.rand(rows, dtype=torch.float64, generator=generator)
    cotangent = torch.randn(rows, 2, dtype=torch.float64, generator=generator)

    def scaled(values, factors):
        return layers(values) * factors[:, None]

    for way in (by_chunks, lambda function, *inputs: function(*inputs)):
        leaves = x.clone().requires_grad_(), factor.clone().requires_grad_()
        out = way(scaled, *leaves)
        (alone,) = torch.autograd.grad((way(scaled, leaves[0], factor) * cotangent).sum(), leaves[0])
        outcomes.append((out.detach(), alone, *torch.autograd.grad((out * cotangent).sum(), leaves)))
    for mine, its in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, its)


def test_nothing_between_inputs_and_outputs_is_kept():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        by_chunks(nn.Sequential(nn.Linear(4, 50), nn.Tanh(), nn.Linear(50, 2)), torch.ones(30, 4, requires_grad=True))
    assert [tuple(tensor.shape) for tensor in kept] == [(30, 4)]
