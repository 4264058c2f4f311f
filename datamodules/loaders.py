"""Loaders that make their batches in this process, and batches of images that are held in memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import BatchSampler, Sampler

from datamodules.batch import ImageBatch
from datamodules.sampler import ShuffledSampler, seeded_generator
from lgm_bench.errors import ConfigError

Batch = TypeVar("Batch")
PADDING = 4
"""Pixels by which training images are shifted at most."""


class BatchLoader(Generic[Batch]):
    """Yields one batch for every `batch_size` indices of a sampler; the last batch may be smaller.

    Args:
        make: Returns a batch, given its number in the epoch and the indices of its samples.
        sampler: The indices to yield.
        batch_size: Samples per batch.
    """

    drop_last = False

    def __init__(self, make: Callable[[int, list[int]], Batch], sampler: Sampler[int], batch_size: int) -> None:
        self.make, self.sampler = make, sampler
        self.batch_sampler = BatchSampler(sampler, batch_size, drop_last=self.drop_last)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        for number, indices in enumerate(self.batch_sampler):
            yield self.make(number, indices)


class ShuffledLoader(BatchLoader[Batch]):
    """Yields shuffled batches for training; samples that do not fill a whole batch are left out.

    Lightning sets the epoch of `sampler`, and saves and restores the position within the epoch (`state_dict`). A
    resumed training therefore sees the batches that an uninterrupted one would have seen.

    Args:
        make: As for `BatchLoader`.
        order: The order of each epoch.
        batch_size: Samples per batch.
        samples: What error messages call the samples.

    Raises:
        ConfigError: There are fewer samples than one batch needs.
    """

    drop_last = True

    def __init__(
        self,
        make: Callable[[int, list[int]], Batch],
        order: ShuffledSampler,
        batch_size: int,
        samples: str = "samples",
    ) -> None:
        super().__init__(make, order, batch_size)
        self.order = order
        if len(self) == 0:
            raise ConfigError(
                f"batch_size {batch_size} is more than the {len(order)} training {samples} of one process; lower it"
            )
        self._batches_taken = 0
        self._resume_at = (-1, 0)

    def __iter__(self) -> Iterator[Batch]:
        # Lightning requests the first epoch's iterator before it sets the epoch. This is a generator, so nothing is
        # drawn until the first batch is requested.
        epoch, first = self._resume_at
        first = first if epoch == self.order.epoch else 0
        self._resume_at = (-1, 0)
        for number, indices in enumerate(self.batch_sampler):
            if number < first:
                continue
            self._batches_taken = number + 1
            yield self.make(number, indices)

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and how many of its batches have been taken."""
        return {"epoch": self.order.epoch, "batches_taken": self._batches_taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration skip the batches already taken, if it continues the same unfinished epoch."""
        if state["batches_taken"] < len(self):
            self._resume_at = (state["epoch"], state["batches_taken"])


def image_loader(
    pixels: Tensor, labels: Tensor, ids: Sequence[str], sampler: Sampler[int], batch_size: int
) -> BatchLoader[ImageBatch]:
    """Return a loader of unchanged images: contiguous float32 in [0, 1].

    Args:
        pixels: (N, H, W, C) uint8.
        labels: (N,) int64.
        ids: N sample ids.
        sampler: The indices to yield.
        batch_size: Images per batch; the last batch may be smaller.
    """

    def make(_: int, indices: list[int]) -> ImageBatch:
        return _image_batch(pixels[indices], labels[indices], [ids[index] for index in indices])

    return BatchLoader(make, sampler, batch_size)


def training_loader(
    pixels: Tensor, labels: Tensor, ids: Sequence[str], order: ShuffledSampler, batch_size: int, flip: bool = True
) -> ShuffledLoader[ImageBatch]:
    """Return a loader of shuffled training images, randomly flipped and shifted by up to 4 pixels.

    The augmentation depends only on the seed, the epoch, the rank and the batch's number in the epoch.

    Args:
        pixels: (N, H, W, C) uint8.
        labels: (N,) int64.
        ids: N sample ids.
        order: The order of each epoch.
        batch_size: Images per batch.
        flip: Whether a mirrored image still shows its class. False: images are only shifted.

    Raises:
        ConfigError: There are fewer images than one batch needs.
    """

    def make(number: int, indices: list[int]) -> ImageBatch:
        generator = seeded_generator("augmentation", order.seed, order.epoch, order.rank, number)
        augmented = flip_and_crop(pixels[indices], generator, flip=flip)
        return _image_batch(augmented, labels[indices], [ids[index] for index in indices])

    return ShuffledLoader(make, order, batch_size, "images")


def _image_batch(pixels: Tensor, labels: Tensor, ids: list[str]) -> ImageBatch:
    return ImageBatch(pixels.permute(0, 3, 1, 2).float().contiguous().div_(255), labels, ids)


def flip_and_crop(pixels: Tensor, generator: torch.Generator, flip: bool = True) -> Tensor:
    """Return randomly flipped and shifted copies of images.

    Args:
        pixels: (B, H, W, C) of any dtype.
        generator: Draws one flip and two offsets per image. `PADDING` black pixels are added on each side, and an H x W
            window is cut out.
        flip: False: images are only shifted.

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
