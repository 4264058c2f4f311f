"""The compiled product against plain PyTorch, and what happens where nothing can be compiled."""

from pathlib import Path

import pytest
import torch
from clouds import cloud, plain_pytorch

from lgm_bench.sparse import SparseConv3d, SparseTensor, compiled
from lgm_bench.sparse.kernel_map import map_between
from lgm_bench.sparse.level import CoordinateLevel
from lgm_bench.sparse.product import summed_products, weight_gradient


@pytest.fixture(autouse=True)
def _compiled():
    if compiled.library() is None:
        pytest.skip("no C++ compiler: the compiled product is not available")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 7), (16, 16), (5, 33)])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_width_and_thread_count(dtype, inputs, outputs, threads):
    level = CoordinateLevel(cloud(n=1800, side=12))  # several blocks of targets
    conv = SparseConv3d(inputs, outputs, 3).to(dtype)
    kernel_map = map_between(level, level, conv.offsets)
    features = torch.randn(len(level), inputs, dtype=dtype)
    gradient = torch.randn(len(level), outputs, dtype=dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out = summed_products(features, conv.weight.detach(), kernel_map)
        to_weight = weight_gradient(features, gradient, kernel_map)
    finally:
        torch.set_num_threads(before)
    with plain_pytorch():
        plain_out = summed_products(features, conv.weight.detach(), kernel_map)
        plain_to_weight = weight_gradient(features, gradient, kernel_map)
    torch.testing.assert_close(out, plain_out)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(to_weight, plain_to_weight, **tolerance)


@pytest.mark.parametrize("kinds", [(torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_numbers_of_two_types_are_refused_as_by_plain_pytorch(kinds):
    conv = SparseConv3d(3, 4, 3).to(kinds[1])
    with pytest.raises(RuntimeError, match="same dtype"):
        conv(SparseTensor(cloud(), torch.ones(40, 3, dtype=kinds[0])))


def test_thread_counts_give_the_same_bits():
    level = CoordinateLevel(cloud(n=1800, side=12))
    conv, features = SparseConv3d(50, 20, 3), torch.randn(1800, 50)
    outcomes = []
    before = torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        out = conv(SparseTensor(None, features, level=level)).features
        outcomes.append((out, *torch.autograd.grad(out.square().sum(), conv.weight)))
    torch.set_num_threads(before)
    for outcome in outcomes[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outcome, outcomes[0], strict=True))


def test_without_a_compiler_plain_pytorch_takes_over(monkeypatch, tmp_path):
    def outcome():
        x = SparseTensor(cloud(), torch.ones(40, 3))
        out = torch.nn.Sequential(conv, down)(x)
        return [out.coordinates, out.features, *torch.autograd.grad(out.features.square().sum(), conv.weight)]

    conv, down = SparseConv3d(3, 4, 3), SparseConv3d(4, 5, 2, 2)
    expected = outcome()
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    compiled.library.cache_clear()
    try:
        assert compiled.library() is None
        for mine, its in zip(outcome(), expected, strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-5)
    finally:
        monkeypatch.undo()
        compiled.library.cache_clear()


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="processors tell what they can on Linux only")
def test_another_processor_has_a_build_of_its_own(monkeypatch):
    """Code for instructions that a processor does not have would end the process."""
    text, names = Path.read_text, [compiled._build_id()]
    for flags in ("sse2", "sse2 avx2", "sse2 avx2"):
        known = f"processor : 0\nflags : {flags}\n"
        monkeypatch.setattr(
            Path, "read_text", lambda path, known=known: known if path.name == "cpuinfo" else text(path)
        )
        names.append(compiled._build_id())
    assert len(set(names)) == 3
    assert names[2] == names[3]
