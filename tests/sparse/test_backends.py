"""All backends on the same input; those that are not installed skip."""

import sys

import pytest
import torch
from clouds import cloud

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.sparse import SparseConv3d, SparseConvTranspose3d, SparseTensor, WindowConv3d, WindowInverse3d
from lgm_bench.sparse.backends import BACKENDS, _loaded, active_backend, use_backend


class Everything(torch.nn.Module):
    """Every kind of convolution."""

    def __init__(self):
        super().__init__()
        self.steps = torch.nn.ModuleList(
            [
                SparseConv3d(3, 6, 3),
                SparseConv3d(6, 6, (1, 3, 3), offsets_of=(3, 1, 3)),
                SparseConv3d(6, 4, 5, bias=True),
                SparseConv3d(4, 8, 2, 2),
                SparseConv3d(8, 8, (3, 3, 3), (2, 2, 1)),
                SparseConv3d(8, 5, 1),
                SparseConvTranspose3d(5, 6, (3, 3, 3), (2, 2, 1)),
                SparseConvTranspose3d(6, 3, 2, 2),
                WindowConv3d(3, 5, 3, (2, 2, 1), (8, 8, 8)),
                SparseConv3d(5, 5, 3),
                WindowInverse3d(5, 2, 3),
            ]
        )

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


def outcome(network, dtype, occupancy, device="cpu"):
    torch.manual_seed(0)
    coordinates = cloud(n=80, side=6).abs().unique(dim=0).to(device)
    features = torch.randn(len(coordinates), 3).to(device, dtype).requires_grad_()
    o = torch.rand(len(coordinates)).to(device, dtype).requires_grad_() if occupancy else None
    out = network(SparseTensor(coordinates, features, o)).features
    leaves = [features, *network.parameters(), *([o] if occupancy else [])]
    cotangent = torch.randn(out.shape).to(device, dtype)
    return [out, *torch.autograd.grad((out * cotangent).sum(), leaves)]


@pytest.mark.parametrize("name", sorted(set(BACKENDS) - {"native"}))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-3)])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("occupancy", [False, True])
def test_all_backends_agree(name, dtype, tolerance, threads, occupancy):
    try:
        chosen = use_backend(name)
    except ConfigError as error:
        pytest.skip(str(error))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    device = "cuda" if name == "spconv-triton" else "cpu"
    network = Everything().to(device, dtype)
    try:
        with chosen as backend:
            assert active_backend() is backend
            assert backend.name == name
            its = outcome(network, dtype, occupancy, device)
    finally:
        torch.set_num_threads(before)
    assert active_backend().name == "native"
    with use_backend("native"):
        expected = outcome(network, dtype, occupancy, device)
    for one, other in zip(its, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_a_missing_backend_is_named_with_its_installation(monkeypatch):
    monkeypatch.setitem(sys.modules, "spconv", None)
    monkeypatch.setitem(sys.modules, "spconv.core", None)
    _loaded.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"'spconv' cannot be imported.*pip install 'lgm-bench\[spconv\]'"):
            use_backend("spconv")
        assert active_backend().name == "native"
    finally:
        _loaded.cache_clear()


def test_an_unknown_backend_gets_the_nearest_name():
    with pytest.raises(UnknownNameError, match="minkowski"):
        use_backend("minkowsky")


def test_a_block_puts_back_what_was_there():
    assert use_backend("native").__enter__() is active_backend()
    with pytest.raises(RuntimeError), use_backend("native"):
        raise RuntimeError
    assert active_backend().name == "native"
