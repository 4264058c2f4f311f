"""Loaders over images that are in memory as one uint8 tensor: batches are cut and augmented as a whole."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import BatchSampler, Sampler

from datamodules.batch import ImageBatch
from datamodules.sampler import ShuffledSampler, seeded_generator
from lgm_bench.errors import ConfigError


class TensorLoader:
    """Yields `ImageBatch`es from a tensor, in this process; images are float32 in [0, 1], channels_last in memory.

    Args:
        pixels: (N, H, W, 3) uint8.
        labels: (N,) int64.
        ids: N sample ids.
        sampler: The indices to yield.
        batch_size: Images per batch; the last batch may be smaller.
    """

    drop_last = False

    def __init__(
        self, pixels: Tensor, labels: Tensor, ids: Sequence[str], sampler: Sampler[int], batch_size: int
    ) -> None:
        self.pixels, self.labels, self.ids = pixels, labels, ids
        self.sampler = sampler
        self.batch_sampler = BatchSampler(sampler, batch_size, drop_last=self.drop_last)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[ImageBatch]:
        for indices in self.batch_sampler:
            yield self._batch(indices, self.pixels[torch.tensor(indices)])

    def _batch(self, indices: list[int], pixels: Tensor) -> ImageBatch:
        images = pixels.permute(0, 3, 1, 2).float().div_(255)
        return ImageBatch(images, self.labels[torch.tensor(indices)], [self.ids[index] for index in indices])


class TrainingLoader(TensorLoader):
    """A `TensorLoader` of shuffled images, randomly flipped and shifted by up to 4 pixels; whole batches only.

    Order and augmentation follow from (seed, epoch, rank, number of the batch). Lightning tells `sampler` the epoch,
    and stores and restores the place in it (`state_dict`), so that a resumed training sees what it would have seen.

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

    drop_last = True

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
        super().__init__(pixels, labels, ids, sampler, batch_size)
        self.order, self.flip = sampler, flip
        if len(self) == 0:
            raise ConfigError(
                f"batch_size {batch_size} is more than the {len(sampler)} training images of one process; lower it"
            )
        self._batches_taken = 0
        self._resume_at = (-1, 0)

    def __iter__(self) -> Iterator[ImageBatch]:
        # Lightning asks for the iterator of the first epoch before it sets the epoch: nothing may be drawn until the
        # first batch is asked for, as is the case in a generator.
        order = self.order
        epoch, first = self._resume_at
        first = first if epoch == order.epoch else 0
        self._resume_at = (-1, 0)
        for number, indices in enumerate(self.batch_sampler):
            if number < first:
                continue
            generator = seeded_generator("augmentation", order.seed, order.epoch, order.rank, number)
            self._batches_taken = number + 1
            yield self._batch(indices, flip_and_crop(self.pixels[torch.tensor(indices)], generator, flip=self.flip))

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and how many of its batches have been taken."""
        return {"epoch": self.order.epoch, "batches_taken": self._batches_taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration leave out the batches already taken, if it is of the same, unfinished epoch."""
        if state["batches_taken"] < len(self):
            self._resume_at = (state["epoch"], state["batches_taken"])


def flip_and_crop(pixels: Tensor, generator: torch.Generator, padding: int = 4, flip: bool = True) -> Tensor:
    """Return randomly flipped and shifted copies of images.

    Args:
        pixels: (B, H, W, C) of any dtype.
        generator: Source of one flip and two offsets per image.
        padding: Black pixels added on each side before an H x W window is cut out.
        flip: False: shift only.

    Returns:
        (B, H, W, C), contiguous.
    """
    batch, height, width, _ = pixels.shape
    flipped = (torch.rand(batch, 1, generator=generator) < 0.5) & flip
    top, left = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=generator)
    rows = torch.arange(height) + top
    columns = torch.where(flipped, torch.arange(width - 1, -1, -1), torch.arange(width)) + left
    padded = pad(pixels, (0, 0, padding, padding, padding, padding))
    return padded[torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]
