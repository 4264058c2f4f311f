"""Kernel maps: the pairs of input and output voxels for each kernel offset."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lgm_bench.sparse.compiled import call, usable
from lgm_bench.sparse.level import CoordinateLevel, KeySpace, Triple

BLOCK = 512
"""Targets per work item of the compiled product; their rows and those of their pairs fit into a core's cache."""


@dataclass(frozen=True, eq=False)
class KernelMap:
    """The pairs of a convolution: out[target] += features[source] @ weight[k], for every pair of every offset k.

    Pairs are listed offset by offset. Within an offset, targets and sources are in the order of their levels' sorted
    coordinates, so that the pairs of neighbouring rows are neighbours too.

    Attributes:
        source: (P,) int64 rows of the input.
        target: (P,) int64 rows of the output.
        counts: Number of pairs of each offset.
        n_sources: Rows of the input.
        n_targets: Rows of the output.
        blocks: (blocks + 1, K) int64, the first pair of each block of `BLOCK` neighbouring targets, by offset.
        source_blocks: The same for sources.
        symmetric: Whether offset k from target to source is offset K - 1 - k from source to target.
    """

    source: Tensor
    target: Tensor
    counts: tuple[int, ...]
    n_sources: int
    n_targets: int
    blocks: Tensor
    source_blocks: Tensor
    symmetric: bool = False

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the sources and targets of one offset after another."""
        sources, targets = (torch.split_with_sizes(rows, self.counts) for rows in (self.source, self.target))
        yield from zip(sources, targets, strict=True)

    @cached_property
    def transposed(self) -> "KernelMap":
        """The map from targets to sources, for gradients and upsampling: the same pairs in the same order."""
        return KernelMap(
            source=self.target,
            target=self.source,
            counts=self.counts,
            n_sources=self.n_targets,
            n_targets=self.n_sources,
            blocks=self.source_blocks,
            source_blocks=self.blocks,
        )


def kernel_offsets(kernel_size: Triple) -> list[Triple]:
    """Return the offsets of a kernel in units of the input's stride, in MinkowskiEngine's order, x running fastest.

    Odd sizes are centred, even ones start at 0.

    >>> kernel_offsets((2, 1, 1)), len(kernel_offsets((3, 3, 3)))
    ([(0, 0, 0), (1, 0, 0)], 27)
    """
    x, y, z = (range(-(size // 2), size // 2 + 1) if size % 2 else range(size) for size in kernel_size)
    return [(i, j, k) for k in z for j in y for i in x]


def map_between(source: CoordinateLevel, target: CoordinateLevel, offsets: list[Triple]) -> KernelMap:
    """Return the result of `build_map`, cached for these two levels and offsets."""
    other = None if target is source else target  # a level that refers to itself would never be freed
    return source.once(("map", tuple(offsets), other), lambda: build_map(source, target, offsets))


def build_map(source: CoordinateLevel, target: CoordinateLevel, offsets: list[Triple]) -> KernelMap:
    """Return the pairs of voxels with source = target + offset * source.stride."""
    sx, sy, sz = source.stride
    steps = [(x * sx, y * sy, z * sz) for x, y, z in offsets]
    reach = source.coordinates.new_tensor([0, *(max(abs(step[axis]) for step in steps) for axis in range(3))])
    space = KeySpace(
        torch.minimum(source.lowest, target.lowest) - reach, torch.maximum(source.highest, target.highest) + reach
    )
    source_keys = space.keys(source.coordinates)[source.order]
    target_keys = source_keys if source is target else space.keys(target.coordinates)[target.order]
    shifts = [space.shift(step) for step in steps]
    symmetric = source is target and offsets == [tuple(-o for o in offset) for offset in reversed(offsets)]
    build = merged_map if usable(source_keys) else searched_map
    return build(source, target, source_keys, target_keys, shifts, symmetric)


def searched_map(
    source: CoordinateLevel,
    target: CoordinateLevel,
    source_keys: Tensor,
    target_keys: Tensor,
    shifts: list[int],
    symmetric: bool,
) -> KernelMap:
    """Return the pairs with source key = target key + shift, for each shift, in plain PyTorch.

    The keys of sources (N,) and targets (M,) are ascending; each target is looked up by binary search.
    """
    places, ranks = [], []
    for shift in shifts:
        wanted = target_keys + shift
        place = torch.searchsorted(source_keys, wanted).clamp_(max=len(source_keys) - 1)
        exists = source_keys[place] == wanted
        ranks.append(exists.nonzero().squeeze(1))
        places.append(place[exists])
    return KernelMap(
        source=source.order[torch.cat(places)],
        target=target.order[torch.cat(ranks)],
        counts=tuple(map(len, ranks)),
        n_sources=len(source),
        n_targets=len(target),
        blocks=_starts(ranks, len(target)),
        source_blocks=_starts(places, len(source)),
        symmetric=symmetric,
    )


def merged_map(
    source: CoordinateLevel,
    target: CoordinateLevel,
    source_keys: Tensor,
    target_keys: Tensor,
    shifts: list[int],
    symmetric: bool,
) -> KernelMap:
    """Return the same as `searched_map`, from compiled code that merges the sorted keys once per offset."""
    n, m, k, threads = len(source), len(target), len(shifts), torch.get_num_threads()
    offsets, counts = torch.tensor(shifts), torch.empty(k, dtype=torch.int64)
    call("count_pairs", source_keys, n, target_keys, m, offsets, k, counts, symmetric, threads)
    ends = counts.cumsum(0)
    sources, targets = torch.empty(2, int(ends[-1]), dtype=torch.int64)
    blocks, source_blocks = (torch.empty(-(-size // BLOCK) + 1, k, dtype=torch.int64) for size in (m, n))
    keys = (source_keys, source.order, n, target_keys, target.order, m, offsets, k)
    out = (ends - counts, sources, targets, blocks, source_blocks)
    call("fill_pairs", *keys, *out, BLOCK, symmetric, threads)
    return KernelMap(sources, targets, tuple(counts.tolist()), n, m, blocks, source_blocks, symmetric)


def _starts(places: list[Tensor], n: int) -> Tensor:
    """Return the first pair of each block of rows, (blocks + 1, K), from the ascending places of each offset."""
    firsts = torch.arange(-(-n // BLOCK) + 1, device=places[0].device) * BLOCK
    ends = torch.tensor([len(place) for place in places]).cumsum(0).tolist()
    columns = [torch.searchsorted(place, firsts) + end - len(place) for place, end in zip(places, ends, strict=True)]
    return torch.stack(columns, dim=1).contiguous()
