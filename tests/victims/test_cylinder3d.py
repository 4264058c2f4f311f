"""Cylinder3D against the released network on spconv's kernels."""

import json
import runpy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from victims.cylinder3d import Cylinder3D, from_official


@pytest.fixture
def golden(samples):
    return {
        name: torch.from_numpy(value) for name, value in np.load(samples / "golden" / "cylinder3d_small.npz").items()
    }


@pytest.fixture
def network(samples, golden):
    fill = runpy.run_path(str(samples / "golden" / "fill.py"))
    shapes = json.loads((samples / "golden" / "cylinder3d_small.keys.json").read_text())
    grid = tuple(golden["grid"].tolist())
    network = Cylinder3D(20, int(golden["init"]), grid, point_channels=64).double().eval()
    own = {key: value.shape for key, value in network.state_dict().items()}
    network.load_state_dict(from_official(fill["weights"](shapes, int(golden["seed"])), own))
    return network


@pytest.mark.parametrize("kind", ["hard", "leaded"])
def test_logits_and_gradients_of_the_released_network(network, golden, kind):
    points = golden["points"].double().requires_grad_()
    occupancy = golden["occupancy"].double().requires_grad_() if kind == "leaded" else None
    voxels = F.pad(golden["voxels"], (1, 0))
    rows = rows_of(golden["indices"], golden["voxels"])
    logits = network(points, rows, voxels, occupancy).features
    (logits * golden["cotangent"]).sum().backward()
    assert relative(logits, golden[f"{kind}_logits"]) < 1e-4
    assert relative(points.grad, golden[f"{kind}_grad_points"]) < 1e-4
    if occupancy is not None:
        assert relative(occupancy.grad, golden["leaded_grad_occupancy"]) < 1e-4


def test_full_occupancy_is_the_hard_network(network, golden):
    points, voxels = golden["points"].double(), F.pad(golden["voxels"], (1, 0))
    rows = rows_of(golden["indices"], golden["voxels"])
    hard = network(points, rows, voxels).features
    full = network(points, rows, voxels, torch.ones(len(voxels), dtype=torch.float64)).features
    torch.testing.assert_close(full, hard)


def test_all_layouts_of_spconv_give_one_network():
    square, oblong = torch.randn(4, 1, 3, 3, 4), torch.randn(5, 1, 3, 3, 4)  # C_out, k, k, k, C_in
    shapes = {"square": torch.Size((9, 4, 4)), "oblong": torch.Size((9, 4, 5))}
    newest = from_official({"square": square, "oblong": oblong, "bias": torch.ones(5)}, shapes)
    assert torch.equal(newest["oblong"][1], oblong[:, 0, 1, 0].T)  # the published last spatial axis comes first
    assert torch.equal(newest["bias"], torch.ones(5))
    for layout in ((1, 2, 3, 0, 4), (1, 2, 3, 4, 0)):  # of versions 2.0 and 2.1, and of 1.x
        older = from_official({"square": square.permute(layout), "oblong": oblong.permute(layout)}, shapes)
        for key in shapes:
            assert torch.equal(older[key], newest[key])


def rows_of(indices, voxels):
    numbers = {tuple(voxel): row for row, voxel in enumerate(voxels.tolist())}
    return torch.tensor([numbers[tuple(index)] for index in indices.tolist()])


def relative(value, expected):
    return ((value - expected).abs().max() / expected.abs().max()).item()
