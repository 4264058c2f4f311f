"""A loader over images that are in memory as one uint8 tensor: batches are cut and augmented as a whole."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from datamodules.batch import ImageBatch
from datamodules.sampler import RankStridedSampler, ShuffledSampler, epoch_generator

_CROP_PADDING = 4


class TensorLoader:
    """Yields `ImageBatch`es from a tensor, in this process and without work per image.

    Images come as float in [0, 1] in channels_last memory format. With a `ShuffledSampler` they are augmented (random
    horizontal flip, random crop after padding by 4 black pixels) and the last, incomplete batch is dropped.

    Args:
        pixels: (N, H, W, 3) uint8.
        labels: (N,) int64.
        ids: N sample ids.
        sampler: The indices to yield; Lightning finds it by this name to tell it the epoch.
        batch_size: Images per batch.
    """

    batch_sampler = None  # Lightning reads it of every loader that has a sampler

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        ids: Sequence[str],
        sampler: RankStridedSampler | ShuffledSampler,
        batch_size: int,
    ) -> None:
        self.pixels, self.labels, self.ids = pixels, labels, ids
        self.sampler, self.batch_size = sampler, batch_size

    def __len__(self) -> int:
        if isinstance(self.sampler, ShuffledSampler):
            return len(self.sampler) // self.batch_size
        return -(-len(self.sampler) // self.batch_size)

    def __iter__(self) -> Iterator[ImageBatch]:
        generator = None
        if isinstance(self.sampler, ShuffledSampler):
            # Offset by one: rank r's augmentation must not replay the stream that drew the permutation.
            generator = epoch_generator(self.sampler.seed, self.sampler.epoch, self.sampler.rank + 1)
        indices = iter(self.sampler)
        for _ in range(len(self)):
            chosen = list(itertools.islice(indices, self.batch_size))
            pixels = self.pixels[torch.tensor(chosen)]
            if generator is not None:
                pixels = flip_and_crop(pixels, generator)
            images = pixels.permute(0, 3, 1, 2).float().div_(255)
            yield ImageBatch(images, self.labels[chosen], [self.ids[index] for index in chosen])


def flip_and_crop(pixels: Tensor, generator: torch.Generator, padding: int = _CROP_PADDING) -> Tensor:
    """Return randomly flipped and shifted copies of images.

    Args:
        pixels: (B, H, W, C) of any dtype.
        generator: Source of one flip and two offsets per image.
        padding: Black pixels added on each side before an H x W window is cut out.

    Returns:
        (B, H, W, C), contiguous.
    """
    batch, height, width, _ = pixels.shape
    flipped = torch.rand(batch, generator=generator) < 0.5
    top, left = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=generator)
    columns = torch.where(flipped[:, None], torch.arange(width - 1, -1, -1), torch.arange(width)) + left
    rows = torch.arange(height) + top
    padded = pad(pixels, (0, 0, padding, padding, padding, padding))
    return padded[torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]
