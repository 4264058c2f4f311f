"""Loaders over images that are in memory as one uint8 tensor: batches are cut and augmented as a whole."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import Sampler

from datamodules.batch import ImageBatch
from datamodules.batch_loader import BatchLoader, ShuffledLoader
from datamodules.sampler import ShuffledSampler, seeded_generator

PADDING = 4


class TensorLoader(BatchLoader[ImageBatch]):
    """Yields `ImageBatch`es from a tensor, in this process; images are float32 in [0, 1], channels_last in memory.

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
    return ImageBatch(pixels.permute(0, 3, 1, 2).float().div_(255), labels, ids)


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
