"""Samplers that give each process its share of the indices: strided for evaluation, shuffled for training."""

import hashlib
from collections.abc import Collection, Iterator
from typing import cast

import torch
from torch import distributed
from torch.utils.data import Dataset, DistributedSampler, Sampler

from lgm_bench.errors import ConfigError


def rank_and_world() -> tuple[int, int]:
    """Return this process's rank and the number of processes: (0, 1) if torch.distributed is not initialised."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class RankStridedSampler(DistributedSampler[int]):
    """Indices rank, rank + world, rank + 2 * world, ... below n, without those in `done`.

    It never pads: together, the ranks yield every index exactly once, even if their shares differ in size or are empty.
    The share is taken before `done` is removed, so ranks with different `done` never yield the same index. The class
    derives from `DistributedSampler` only because Lightning would replace any other sampler of a `DataLoader` with a
    padding one in a run of several processes.

    Raises:
        ConfigError: n is negative, or rank is not below world.

    >>> list(RankStridedSampler(7, rank=1, world=3, done={4}))
    [1]
    """

    def __init__(self, n: int, rank: int = 0, world: int = 1, done: Collection[int] = ()) -> None:
        _require_rank(n, rank, world)
        # DistributedSampler uses only the length of its data set.
        super().__init__(cast(Dataset[int], range(n)), num_replicas=world, rank=rank, shuffle=False)
        finished = frozenset(done)
        self.indices = [index for index in range(rank, n, world) if index not in finished]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


class ShuffledSampler(Sampler[int]):
    """A permutation of range(n) for each epoch, which depends only on the seed and the epoch.

    Each rank takes a strided share. Training needs equal shares, so an epoch leaves out up to world - 1 indices.

    Raises:
        ConfigError: n is negative, or rank is not below world.
    """

    def __init__(self, n: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        _require_rank(n, rank, world)
        self.n, self.seed, self.rank, self.world = n, seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation for the next iteration; Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.n, generator=seeded_generator("order", self.seed, self.epoch)).tolist()
        return iter(order[self.rank : len(self) * self.world : self.world])

    def __len__(self) -> int:
        return self.n // self.world


def seeded_generator(purpose: str, *values: int | str) -> torch.Generator:
    """Return a CPU generator whose stream depends only on the purpose and the values."""
    digest = hashlib.sha256(repr((purpose, *values)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


def _require_rank(n: int, rank: int, world: int) -> None:
    if n < 0 or not 0 <= rank < world:
        raise ConfigError(f"a sampler needs n >= 0 and 0 <= rank < world, not n={n}, rank={rank}, world={world}")
