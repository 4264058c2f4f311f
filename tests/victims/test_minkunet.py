"""MinkUNet against logits and gradients of MinkowskiEngine itself."""

import json
import runpy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lgm_bench.sparse import SparseTensor
from victims.minkunet import MinkUNet, from_official

PLANES_14A = (32, 64, 128, 256, 128, 128, 96, 96)


@pytest.fixture
def network():
    return MinkUNet(3, 20, PLANES_14A, (1,) * 8).double().eval()


def test_logits_and_gradient_of_the_published_network(network, samples):
    golden = np.load(samples / "golden" / "minkunet14a.npz")
    fill = runpy.run_path(str(samples / "golden" / "fill.py"))
    shapes = json.loads((samples / "golden" / "minkunet14a.keys.json").read_text())
    network.load_state_dict(from_official(fill["weights"](shapes, int(golden["seed"]))))
    coordinates = F.pad(torch.from_numpy(golden["coordinates"]).long(), (1, 0))
    features = torch.from_numpy(golden["features"]).requires_grad_()
    logits = network(SparseTensor(coordinates, features)).features
    assert relative(logits, golden["logits"]) < 1e-8
    (logits * torch.from_numpy(golden["cotangent"])).sum().backward()
    assert relative(features.grad, golden["grad"]) < 1e-8


def test_full_occupancy_is_the_hard_network(network):
    coordinates = F.pad(torch.cartesian_prod(*[torch.arange(6)] * 3), (1, 0))
    features = torch.randn(216, 3, dtype=torch.float64)
    hard = network(SparseTensor(coordinates, features)).features
    full = network(SparseTensor(coordinates, features, torch.ones(216, dtype=torch.float64))).features
    torch.testing.assert_close(full, hard)


def relative(value, expected):
    expected = torch.from_numpy(expected)
    return ((value - expected).abs().max() / expected.abs().max()).item()
