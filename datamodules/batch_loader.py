"""Loaders that make their batches in this process, in the order of a sampler."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from torch.utils.data import BatchSampler, Sampler

from datamodules.sampler import ShuffledSampler
from lgm_bench.errors import ConfigError

Batch = TypeVar("Batch")


class BatchLoader(ABC, Generic[Batch]):
    """Yields a batch for every `batch_size` indices of a sampler; the last one may be smaller."""

    drop_last = False

    def __init__(self, sampler: Sampler[int], batch_size: int) -> None:
        self.sampler = sampler
        self.batch_sampler = BatchSampler(sampler, batch_size, drop_last=self.drop_last)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        for number, indices in enumerate(self.batch_sampler):
            yield self._batch(number, indices)

    @abstractmethod
    def _batch(self, number: int, indices: list[int]) -> Batch:
        """Return the batch of some samples; `number` is its place in the epoch."""


class ShuffledLoader(BatchLoader[Batch]):
    """Yields whole batches in the epoch's order, `order`.

    Lightning tells `sampler` the epoch, and stores and restores the place in it (`state_dict`), so that a resumed
    training sees what it would have seen.

    Raises:
        ConfigError: There are fewer samples than one batch takes.
    """

    drop_last = True
    samples = "samples"  # what the error calls them

    def __init__(self, order: ShuffledSampler, batch_size: int) -> None:
        super().__init__(order, batch_size)
        self.order = order
        if len(self) == 0:
            raise ConfigError(
                f"batch_size {batch_size} is more than the {len(order)} training {self.samples} of one process; "
                "lower it"
            )
        self._batches_taken = 0
        self._resume_at = (-1, 0)

    def __iter__(self) -> Iterator[Batch]:
        # Lightning asks for the iterator of the first epoch before it sets the epoch: nothing may be drawn until the
        # first batch is asked for, as is the case in a generator.
        epoch, first = self._resume_at
        first = first if epoch == self.order.epoch else 0
        self._resume_at = (-1, 0)
        for number, indices in enumerate(self.batch_sampler):
            if number < first:
                continue
            self._batches_taken = number + 1
            yield self._batch(number, indices)

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and how many of its batches have been taken."""
        return {"epoch": self.order.epoch, "batches_taken": self._batches_taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration leave out the batches already taken, if it is of the same, unfinished epoch."""
        if state["batches_taken"] < len(self):
            self._resume_at = (state["epoch"], state["batches_taken"])
