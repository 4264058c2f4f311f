"""Kernel maps: which voxel contributes to which through which kernel offset."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lgm_bench.leaded.sparse.level import CoordinateLevel, KeySpace, Triple

BLOCK = 512
"""Targets that one thread of the compiled product owns at a time: their rows and their pairs' stay in its cache."""


@dataclass(frozen=True)
class KernelMap:
    """The pairs of a convolution: out[target] += features[source] @ weight[k], for every pair of every offset k.

    The pairs of one offset stand together, offset after offset; among them, targets come in the order of their
    level's sorted coordinates, so that the pairs of neighbouring targets are neighbours too.

    Attributes:
        source: (P,) int64 rows of the input.
        target: (P,) int64 rows of the output.
        counts: Number of pairs of each offset.
        n_sources: Rows of the input.
        n_targets: Rows of the output.
        rank: (P,) int64 place of each pair's target in the sorted order.
        symmetric: Whether offset k, from target to source, is offset K - 1 - k from source to target.
    """

    source: Tensor
    target: Tensor
    counts: tuple[int, ...]
    n_sources: int
    n_targets: int
    rank: Tensor
    symmetric: bool = False

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""
        return len(self.source)

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the sources and targets of one offset after another."""
        yield from zip(split(self.source, self.counts), split(self.target, self.counts), strict=True)

    @cached_property
    def blocks(self) -> Tensor:
        """(blocks + 1, K) int64: the pair at which each block of `BLOCK` neighbouring targets begins, by offset."""
        firsts = torch.arange(-(-self.n_targets // BLOCK) + 1) * BLOCK
        ends = torch.tensor(self.counts).cumsum(0).tolist()
        ranks = zip(split(self.rank, self.counts), ends, self.counts, strict=True)
        columns = [torch.searchsorted(rank, firsts) + end - count for rank, end, count in ranks]
        return torch.stack(columns, dim=1).contiguous()

    @cached_property
    def transposed(self) -> "KernelMap":
        """The map from targets to sources, for gradients and upsampling; pairs are in the order of the source rows."""
        offset = torch.repeat_interleave(
            self.source.new_tensor(range(len(self.counts))), self.source.new_tensor(self.counts)
        )
        sorting = (offset * self.n_sources + self.source).argsort()
        return KernelMap(
            source=self.target[sorting],
            target=self.source[sorting],
            counts=self.counts,
            n_sources=self.n_targets,
            n_targets=self.n_sources,
            rank=self.source[sorting],
        )


def kernel_offsets(kernel_size: Triple) -> list[Triple]:
    """Return the offsets of a kernel in units of the input's stride, x running fastest, as MinkowskiEngine orders them.

    Odd sizes are centred, even ones begin at 0.

    >>> kernel_offsets((2, 1, 1)), len(kernel_offsets((3, 3, 3)))
    ([(0, 0, 0), (1, 0, 0)], 27)
    """
    x, y, z = (range(-(size // 2), size // 2 + 1) if size % 2 else range(size) for size in kernel_size)
    return [(i, j, k) for k in z for j in y for i in x]


def build_map(source: CoordinateLevel, target: CoordinateLevel, offsets: list[Triple]) -> KernelMap:
    """Return the pairs of voxels with source = target + offset * source.stride.

    Args:
        source: The input's voxels.
        target: The output's voxels.
        offsets: In units of the source's stride.
    """
    sx, sy, sz = source.stride
    steps = [(x * sx, y * sy, z * sz) for x, y, z in offsets]
    reach = source.coordinates.new_tensor([0, *(max(abs(step[axis]) for step in steps) for axis in range(3))])
    space = KeySpace(
        torch.minimum(source.lowest, target.lowest) - reach, torch.maximum(source.highest, target.highest) + reach
    )
    source_keys = space.keys(source.coordinates[source.order])
    target_keys = space.keys(target.coordinates[target.order])
    sources, ranks, counts = [], [], []
    for step in steps:
        wanted = target_keys + space.shift(step)
        place = torch.searchsorted(source_keys, wanted).clamp_(max=len(source_keys) - 1)
        found = source_keys[place] == wanted
        ranks.append(found.nonzero().squeeze(1))
        sources.append(place[found])
        counts.append(len(ranks[-1]))
    rank = torch.cat(ranks)
    return KernelMap(
        source=source.order[torch.cat(sources)],
        target=target.order[rank],
        counts=tuple(counts),
        n_sources=len(source),
        n_targets=len(target),
        rank=rank,
        symmetric=source is target and offsets == [tuple(-o for o in offset) for offset in reversed(offsets)],
    )


def split(values: Tensor, counts: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Return the values (P,) of each offset."""
    return torch.split_with_sizes(values, counts)
