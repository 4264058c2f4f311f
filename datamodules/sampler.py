"""Samplers of a rank's share of indices: strided for evaluation, shuffled for training."""

import hashlib
from collections.abc import Collection, Iterator
from typing import cast

import torch
from torch import distributed
from torch.utils.data import Dataset, DistributedSampler, Sampler

from lgm_bench.errors import ConfigError


def rank_and_world() -> tuple[int, int]:
    """Return this process's rank and the number of processes; (0, 1) where torch.distributed is not initialised."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class RankStridedSampler(DistributedSampler[int]):
    """Indices rank, rank + world, rank + 2 * world, ... below n, without those that are done.

    It never pads: the ranks' shares are disjoint and together they are every index exactly once, also where the
    shares differ in size or a rank has none. The share is taken before `done` is removed, so that ranks with different
    `done` never share an index. It is a `DistributedSampler` by type only, because Lightning replaces any other sampler
    of a `DataLoader` by a padding one when there are several processes.

    Raises:
        ConfigError: n is negative, or rank is not below world.

    >>> list(RankStridedSampler(7, rank=1, world=3, done={4}))
    [1]
    """

    def __init__(self, n: int, rank: int = 0, world: int = 1, done: Collection[int] = ()) -> None:
        _require_rank(n, rank, world)
        # DistributedSampler takes the length of its data set and nothing else from it.
        super().__init__(cast(Dataset[int], range(n)), num_replicas=world, rank=rank, shuffle=False)
        finished = frozenset(done)
        self.indices = [index for index in range(rank, n, world) if index not in finished]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


class ShuffledSampler(Sampler[int]):
    """A permutation of range(n) per epoch, drawn from (seed, epoch) alone; ranks take equal strided shares of it.

    Shares must be equal in training, so each epoch leaves out up to world - 1 indices.

    Raises:
        ConfigError: n is negative, or rank is not below world.
    """

    def __init__(self, n: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        _require_rank(n, rank, world)
        self.n, self.seed, self.rank, self.world = n, seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation that the next iteration yields; Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.n, generator=seeded_generator("order", self.seed, self.epoch)).tolist()
        return iter(order[self.rank : len(self) * self.world : self.world])

    def __len__(self) -> int:
        return self.n // self.world


def seeded_generator(purpose: str, *values: int | str) -> torch.Generator:
    """Return a CPU generator whose stream depends on a purpose and on values alone."""
    digest = hashlib.sha256(repr((purpose, *values)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


def _require_rank(n: int, rank: int, world: int) -> None:
    if n < 0 or not 0 <= rank < world:
        raise ConfigError(f"a sampler needs n >= 0 and 0 <= rank < world, not n={n}, rank={rank}, world={world}")
