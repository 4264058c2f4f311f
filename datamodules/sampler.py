"""Samplers over indices that know their rank: strided shares for evaluation, shuffled shares for training."""

from collections.abc import Collection, Iterator

import torch
from torch import distributed
from torch.utils.data import Sampler

from lgm_bench.errors import ConfigError


def rank_and_world() -> tuple[int, int]:
    """Return this process's rank and the number of processes; (0, 1) where torch.distributed is not initialised."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class RankStridedSampler(Sampler[int]):
    """Indices rank, rank + world, rank + 2 * world, ... below n, without those that are done.

    Unlike `torch.utils.data.DistributedSampler` it never pads: the ranks' shares are disjoint and together they are
    every index exactly once, also where the shares differ in size or a rank has none. The share is taken before
    `done` is removed, so that ranks that were told different `done` still never share an index.

    >>> list(RankStridedSampler(7, rank=1, world=3, done={4}))
    [1]
    """

    def __init__(self, n: int, rank: int = 0, world: int = 1, done: Collection[int] = ()) -> None:
        _require_rank(n, rank, world)
        finished = frozenset(done)
        self.indices = [index for index in range(rank, n, world) if index not in finished]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


class ShuffledSampler(Sampler[int]):
    """A permutation of range(n) per epoch, drawn from (seed, epoch) alone; ranks take equal strided shares of it.

    Lightning calls `set_epoch` on a loader's `sampler` before every epoch, also on the first one after a resume, so a
    resumed training continues with the permutation that it would have had. Shares must be equal in training, so up to
    world - 1 indices, other ones every epoch, are left out.
    """

    def __init__(self, n: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        _require_rank(n, rank, world)
        self.n, self.seed, self.rank, self.world = n, seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation that the next iteration yields."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.n, generator=epoch_generator(self.seed, self.epoch)).tolist()
        return iter(order[self.rank : len(self) * self.world : self.world])

    def __len__(self) -> int:
        return self.n // self.world


def epoch_generator(seed: int, epoch: int, rank: int = 0) -> torch.Generator:
    """Return a CPU generator for one epoch on one rank; its stream depends on these three numbers alone."""
    return torch.Generator().manual_seed(hash((seed, epoch, rank)) & 0x7FFF_FFFF_FFFF_FFFF)


def _require_rank(n: int, rank: int, world: int) -> None:
    if n < 0 or world < 1 or not 0 <= rank < world:
        raise ConfigError(f"a sampler needs n >= 0 and 0 <= rank < world, not n={n}, rank={rank}, world={world}")
