"""Sparse convolutions against dense ones on the same grid, values and gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clouds import at, cloud, dense, dense_kernel

from lgm_bench.errors import ConfigError
from lgm_bench.sparse import SparseConv3d, SparseConvTranspose3d, SparseTensor, WindowConv3d
from lgm_bench.sparse.kernel_map import kernel_offsets, map_between

LOW, SIDE = -6, 12  # an even border, so that windows of stride 2 begin at multiples of 2


@pytest.mark.parametrize("size", [1, 3, 5, (1, 3, 3), (3, 1, 3), (3, 1, 1)])
def test_submanifold_is_the_dense_convolution_read_at_the_voxels(size):
    conv = SparseConv3d(3, 4, size, bias=True).double()
    torch.nn.init.normal_(conv.bias)
    coordinates = cloud()
    features = torch.randn(len(coordinates), 3, dtype=torch.float64, requires_grad=True)
    out = conv(SparseTensor(coordinates, features)).features
    kernel = dense_kernel(conv.weight, conv.kernel_size)
    expected = F.conv3d(dense(coordinates, features, LOW, SIDE), kernel, conv.bias, padding="same")
    agree(out, at(expected, coordinates, LOW), features, conv.weight, conv.bias)


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), ((2, 2, 1), (2, 2, 1)), ((3, 3, 3), (2, 2, 1))])
def test_strided_goes_to_the_voxels_that_hold_the_fine_ones(size, stride):
    conv = SparseConv3d(2, 5, size, stride).double()
    coordinates = cloud(seed=1)
    features = torch.randn(len(coordinates), 2, dtype=torch.float64, requires_grad=True)
    out = conv(SparseTensor(coordinates, features))
    steps = torch.tensor([1, *conv.stride])
    assert out.level.stride == conv.stride
    holding = torch.unique(coordinates.div(steps, rounding_mode="floor") * steps, dim=0)
    assert torch.equal(torch.unique(out.coordinates, dim=0), holding)
    pad = [n // 2 if n % 2 else 0 for n in conv.kernel_size]
    grid = dense(coordinates, features, LOW, SIDE)
    expected = F.conv3d(grid, dense_kernel(conv.weight, conv.kernel_size), stride=conv.stride, padding=pad)
    b, x, y, z = ((out.coordinates - torch.tensor([0, LOW, LOW, LOW])) // steps).T
    agree(out.features, expected.permute(0, 2, 3, 4, 1)[b, x, y, z], features, conv.weight)


def test_transposed_leads_back_to_the_fine_voxels():
    down, up = SparseConv3d(2, 3, 2, 2).double(), SparseConvTranspose3d(3, 4, 2, 2).double()
    coordinates = cloud(seed=2)
    features = torch.randn(len(coordinates), 2, dtype=torch.float64, requires_grad=True)
    coarse = down(SparseTensor(coordinates, features))
    out = up(coarse)
    assert torch.equal(out.coordinates, coordinates)
    half = coarse.coordinates.clone()
    half[:, 1:] //= 2
    kernel = dense_kernel(up.weight, (2, 2, 2)).transpose(0, 1)
    expected = F.conv_transpose3d(dense(half, coarse.features, LOW // 2, SIDE // 2), kernel, stride=2)
    agree(out.features, at(expected, coordinates, LOW), features, up.weight, down.weight)


def test_convolution_multiplies_by_the_occupancy():
    conv = SparseConv3d(2, 3, 3).double()
    coordinates = cloud()
    features = torch.randn(len(coordinates), 2, dtype=torch.float64)
    occupancy = torch.rand(len(coordinates), dtype=torch.float64, requires_grad=True)
    plain, leaded = (conv(SparseTensor(coordinates, features, o)).features for o in (None, occupancy))
    torch.testing.assert_close(leaded, plain * occupancy[:, None])


def test_kernel_maps_are_built_once_a_level_and_kernel():
    x, conv = SparseTensor(cloud(), torch.randn(40, 2)), SparseConv3d(2, 2, 3)
    first, second = (map_between(x.level, level, kernel_offsets((3, 3, 3))) for level in (x.level, conv(x).level))
    assert first is second


def test_two_coarse_levels_of_one_stride_have_maps_of_their_own():
    """Voxels whose windows hold a fine one are more than those that hold one themselves."""
    coordinates = cloud()
    coordinates[:, 1:] += 2  # from 0, as a grid has them
    windows, up = WindowConv3d(2, 3, 3, 2, (5, 5, 5)), SparseConvTranspose3d(3, 4, 3, 2)

    def upsampled(x):
        return up(windows(x)).features

    features = torch.randn(40, 2)
    expected = upsampled(SparseTensor(coordinates, features))
    x = SparseTensor(coordinates, features)
    assert len(SparseConv3d(2, 3, 3, 2)(x).coordinates) < len(windows(x).coordinates)
    assert torch.equal(upsampled(x), expected)


def test_values_of_minkowski_engine(samples):
    golden = np.load(samples / "golden" / "minkowski_convs.npz")
    coordinates = torch.from_numpy(golden["coordinates"]).long()
    x = SparseTensor(F.pad(coordinates, (1, 0)), torch.from_numpy(golden["features"]))
    for name, size, stride in (("k3", 3, 1), ("k5", 5, 1), ("k2s2", 2, 2), ("k3s2", 3, 2)):
        conv = SparseConv3d(3, 4, size, stride)
        out = loaded(conv, golden[f"{name}_kernel"])(x)
        assert_same_voxels(out, golden, name)
        if name == "k2s2":
            up = loaded(SparseConvTranspose3d(4, 5, 2, 2), golden["up_kernel"])
            assert_same_voxels(up(out), golden, "up")


def test_wrong_channels_and_missing_levels_are_named():
    x = SparseTensor(cloud(), torch.randn(40, 2))
    with pytest.raises(ConfigError, match="takes 3 channels, got 2"):
        SparseConv3d(3, 4, 3)(x)
    with pytest.raises(ConfigError, match="finer voxels"):
        SparseConvTranspose3d(2, 4, 2, 2)(x)
    with pytest.raises(ConfigError, match="kernel_size"):
        SparseConv3d(3, 4, 0)
    with pytest.raises(ConfigError, match="stride must be a positive whole number"):
        SparseConv3d(3, 4, 3, 1.5)


def loaded(conv, kernel):
    conv.weight.data = torch.from_numpy(kernel)
    return conv


def assert_same_voxels(out, golden, name):
    expected = torch.from_numpy(golden[f"{name}_coordinates"]).long()
    assert len(expected) == len(out.coordinates)
    mine, theirs = (
        c[:, 0] * 10**9 + (c[:, 1:] + 500) @ torch.tensor([10**6, 10**3, 1]) for c in (out.coordinates, expected)
    )
    assert torch.equal(mine.sort().values, theirs.sort().values)
    features = torch.from_numpy(golden[f"{name}_features"])
    torch.testing.assert_close(out.features[mine.argsort()], features[theirs.argsort()], rtol=1e-10, atol=1e-10)


def agree(out, expected, *inputs):
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    cotangent = torch.randn_like(out)
    mine, theirs = (
        torch.autograd.grad((values * cotangent).sum(), inputs, retain_graph=True) for values in (out, expected)
    )
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
