"""The compiled product against plain PyTorch, and what happens where nothing can be compiled."""

import pytest
import torch
from clouds import cloud

from lgm_bench.leaded.sparse import SparseConv3d, SparseTensor, fused
from lgm_bench.leaded.sparse.level import CoordinateLevel
from lgm_bench.leaded.sparse.product import reference_product


@pytest.fixture(autouse=True)
def _compiled():
    if fused.library() is None:
        pytest.skip("no C++ compiler: the compiled product is not available")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 7), (16, 16), (5, 33)])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_width_and_thread_count(dtype, inputs, outputs, threads):
    level = CoordinateLevel(cloud(n=1800, side=12))  # several blocks of targets
    conv = SparseConv3d(inputs, outputs, 3).to(dtype)
    kernel_map = conv._map(level, level)
    features = torch.randn(len(level), inputs, dtype=dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out = fused.fused_product(features, conv.weight.detach(), kernel_map)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(out, reference_product(features, conv.weight.detach(), kernel_map))


def test_without_a_compiler_plain_pytorch_takes_over(monkeypatch, tmp_path):
    x = SparseTensor(cloud(), torch.randn(40, 3))
    conv = SparseConv3d(3, 4, 3)
    compiled = conv(x).features
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(fused.shutil, "which", lambda _: None)
    fused.library.cache_clear()
    try:
        assert fused.library() is None
        torch.testing.assert_close(conv(x).features, compiled)
    finally:
        monkeypatch.undo()
        fused.library.cache_clear()
