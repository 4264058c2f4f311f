"""Loaders that make their batches in this process, of any samples or of images in memory as one uint8 tensor."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import BatchSampler, Sampler

from datamodules.batch import ImageBatch
from datamodules.sampler import ShuffledSampler, seeded_generator
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


PADDING = 4


class TensorLoader(BatchLoader[ImageBatch]):
    """Yields `ImageBatch`es from a tensor, in this process; images are contiguous float32 in [0, 1].

    Args:
        pixels: (N, H, W, 3) uint8.
        labels: (N,) int64.
        ids: N sample ids.
        sampler: The indices to yield.
        batch_size: Images per batch; the last batch may be smaller.
    """

    def __init__(
        self, pixels: Tensor, labels: Tensor, ids: Sequence[str], sampler: Sampler[int], batch_size: int
    ) -> None:
        super().__init__(sampler, batch_size)
        self.pixels, self.labels, self.ids = pixels, labels, ids

    def _batch(self, number: int, indices: list[int]) -> ImageBatch:  # noqa: ARG002
        places = torch.tensor(indices)
        return to_batch(self.pixels[places], self.labels[places], [self.ids[index] for index in indices])


class TrainingLoader(ShuffledLoader[ImageBatch]):
    """Yields shuffled images, randomly flipped and shifted by up to 4 pixels; whole batches only.

    Order and augmentation follow from (seed, epoch, rank, number of the batch), also in a training that is resumed.

    Args:
        pixels: (N, H, W, 3) uint8.
        labels: (N,) int64.
        ids: N sample ids.
        sampler: The order.
        batch_size: Images per batch.
        flip: Whether a mirrored image still shows what its label says; False: images are shifted only.

    Raises:
        ConfigError: There are fewer images than one batch takes.
    """

    samples = "images"

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        ids: Sequence[str],
        sampler: ShuffledSampler,
        batch_size: int,
        *,
        flip: bool = True,
    ) -> None:
        super().__init__(sampler, batch_size)
        self.pixels, self.labels, self.ids, self.flip = pixels, labels, ids, flip

    def _batch(self, number: int, indices: list[int]) -> ImageBatch:
        places, order = torch.tensor(indices), self.order
        generator = seeded_generator("augmentation", order.seed, order.epoch, order.rank, number)
        pixels = flip_and_crop(self.pixels[places], generator, flip=self.flip)
        return to_batch(pixels, self.labels[places], [self.ids[index] for index in indices])


def to_batch(pixels: Tensor, labels: Tensor, ids: list[str]) -> ImageBatch:
    """Return (B, H, W, 3) uint8 pixels as a batch."""
    return ImageBatch(pixels.permute(0, 3, 1, 2).float().contiguous().div_(255), labels, ids)


def flip_and_crop(pixels: Tensor, generator: torch.Generator, flip: bool = True) -> Tensor:
    """Return randomly flipped and shifted copies of images.

    Args:
        pixels: (B, H, W, C) of any dtype.
        generator: Source of one flip and two offsets per image; `PADDING` black pixels are added on each side before an
            H x W window is cut out.
        flip: False: shift only.

    Returns:
        (B, H, W, C), contiguous.
    """
    batch, height, width, _ = pixels.shape
    flipped = (torch.rand(batch, 1, generator=generator) < 0.5) & flip
    top, left = torch.randint(0, 2 * PADDING + 1, (2, batch, 1), generator=generator)
    rows = torch.arange(height) + top
    columns = torch.where(flipped, torch.arange(width - 1, -1, -1), torch.arange(width)) + left
    padded = pad(pixels, (0, 0, PADDING, PADDING, PADDING, PADDING))
    return padded[torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]
