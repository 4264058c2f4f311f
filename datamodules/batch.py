"""The batches that datamodules yield and attacks take."""

from typing import NamedTuple

from torch import Tensor


class ImageBatch(NamedTuple):
    """Images with labels.

    Attributes:
        images: (B, 3, H, W) float in [0, 1].
        labels: (B,) int64 class indices.
        ids: B stable sample ids, unique in the data set.
    """

    images: Tensor
    labels: Tensor
    ids: list[str]
