"""Kernel maps: the compiled ones against plain PyTorch, bit for bit, and those against every pair tried out."""

from dataclasses import fields

import pytest
import torch
from clouds import cloud, plain_pytorch

from lgm_bench.sparse import CoordinateLevel, compiled, kernel_map
from lgm_bench.sparse.kernel_map import build_map, kernel_offsets
from lgm_bench.sparse.level import coarser

KERNELS = [((3, 3, 3), None), ((5, 5, 5), None), ((1, 3, 3), None), ((3, 1, 1), None), ((1, 1, 1), None)]
STRIDED = [((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (2, 2, 1)), ((2, 2, 1), (2, 2, 1)), ((2, 2, 2), None)]


def levels(factor, n=1800):
    fine = CoordinateLevel(cloud(n=n, side=12))
    return fine, fine if factor is None else coarser(fine, factor)


@pytest.mark.parametrize(("size", "factor"), KERNELS + STRIDED)
@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_maps_are_those_of_plain_pytorch(size, factor, threads):
    if compiled.library() is None:
        pytest.skip("no C++ compiler: compiled kernel maps are not available")
    source, target = levels(factor)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        mine = build_map(source, target, kernel_offsets(size))
    finally:
        torch.set_num_threads(before)
    with plain_pytorch():
        plain = build_map(source, target, kernel_offsets(size))
    assert len(mine.source) > 0
    for field in fields(plain):
        one, other = getattr(mine, field.name), getattr(plain, field.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, field.name


@pytest.mark.parametrize(("size", "factor"), [*KERNELS[:3], *STRIDED])
def test_pairs_are_all_that_fit(size, factor):
    source, target = levels(factor, n=60)
    offsets = kernel_offsets(size)
    found = build_map(source, target, offsets)
    for offset, (sources, targets) in zip(offsets, found.pairs(), strict=True):
        step = torch.tensor([0, *offset])
        expected = (source.coordinates[:, None] == target.coordinates + step).all(dim=2).nonzero()
        assert set(map(tuple, expected.tolist())) == set(zip(sources.tolist(), targets.tolist(), strict=True))
        assert len(expected) == len(sources)


@pytest.mark.parametrize("factor", [None, (2, 2, 2)])
def test_blocks_hold_the_pairs_of_their_rows(factor):
    source, target = levels(factor)
    found = build_map(source, target, kernel_offsets((3, 3, 3)))
    for one, rows in ((found, target.order), (found.transposed, source.order)):
        place = rows.argsort()[one.target]
        for block in range(len(one.blocks) - 1):
            for begin, end in zip(one.blocks[block].tolist(), one.blocks[block + 1].tolist(), strict=True):
                assert (place[begin:end] // kernel_map.BLOCK == block).all()
        assert int((one.blocks[1:] - one.blocks[:-1]).sum()) == len(one.source)
