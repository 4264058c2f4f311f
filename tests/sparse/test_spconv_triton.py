"""The backend spconv-triton on the CPU: in Triton's interpreter where it is installed; its tables and its refusals."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from clouds import cloud

from lgm_bench.errors import ConfigError
from lgm_bench.sparse import CoordinateLevel, backends
from lgm_bench.sparse.backends import Convolution, active_backend, usual_backend
from lgm_bench.sparse.backends.spconv_triton import SpconvTritonBackend, _table
from lgm_bench.sparse.kernel_map import build_map, kernel_offsets


@pytest.mark.skipif(not (find_spec("spconv_triton") and find_spec("triton")), reason="no spconv-triton or no Triton")
def test_its_kernels_agree_with_native_in_the_interpreter():
    root = Path(__file__).parents[2]
    paths = [str(root), str(Path(__file__).parent), *sys.path]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(paths)}
    script = Path(__file__).with_name("interpreted.py")
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("size", "masked"), [((3, 3, 3), True), ((2, 2, 2), True), ((5, 5, 5), False)])
def test_a_table_lists_every_pair_once(size, masked):
    level = CoordinateLevel(cloud(n=60, side=5).unique(dim=0))
    kernel_map = build_map(level, level, kernel_offsets(size))
    table = _table(kernel_map)
    pairs = {
        (k, int(t), int(s))
        for k, (sources, targets) in enumerate(kernel_map.pairs())
        for s, t in zip(sources, targets, strict=True)
    }
    listed = {(int(k), int(t), int(table.sources[k, t])) for k, t in (table.sources >= 0).nonzero()}
    assert listed == pairs
    assert table.sources.dtype == torch.int32
    assert (table.masks is not None) == masked
    if masked:
        assert table.masks.tolist() == sorted(table.masks.tolist())
        assert sorted(table.order.tolist()) == list(range(len(level)))
        for mask, row in zip(table.masks.tolist(), table.order.tolist(), strict=True):
            assert {k for k in range(len(kernel_map.counts)) if mask >> k & 1} == {k for k, t, _ in pairs if t == row}


def test_cpu_tensors_are_refused():
    backend = object.__new__(SpconvTritonBackend)
    level = CoordinateLevel(cloud(n=10, side=4).unique(dim=0))
    kernel_map = build_map(level, level, kernel_offsets((3, 3, 3)))
    with pytest.raises(ConfigError, match="computes on GPUs, not on cpu"):
        backend.convolve(
            torch.ones(len(level), 2), torch.ones(27, 2, 2), Convolution(level, level, kernel_map, (3, 3, 3))
        )


@pytest.mark.parametrize("installed", [True, False])
def test_it_is_the_usual_backend_of_gpus_where_it_is_installed(monkeypatch, installed):
    def loaded(name):
        if name == "spconv-triton" and not installed:
            raise ConfigError("not installed")
        return SimpleNamespace(name=name)

    monkeypatch.setattr(backends, "_loaded", loaded)
    monkeypatch.setattr(backends, "_active", None)
    usual_backend.cache_clear()
    try:
        assert active_backend("cpu").name == "native"
        assert active_backend("cuda").name == ("spconv-triton" if installed else "native")
        assert usual_backend("cuda") == active_backend("cuda").name
    finally:
        usual_backend.cache_clear()
