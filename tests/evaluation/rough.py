"""Networks and data sets of a user's own with something wrong, named as `rough:Class`."""

from typing import Any

import torch
from tiny_networks import Linear
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from datamodules.samples_datamodule import ImageDataModule

N = 6


class TwoOutputs(Linear):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images), images


class NoGradient(Linear):
    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)


class Few(ImageDataModule):
    """Pairs of images and labels, as a plain loader yields them."""

    name, num_classes, class_names, subsets = "few", 10, tuple("abcdefghij"), ("test",)

    def __init__(self, data_root=None, batch_size=4, limit=None, subset="test") -> None:
        super().__init__(data_root, batch_size, limit, subset)
        self.images = torch.rand(N, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        self.labels = torch.arange(N)

    def subset_ids(self) -> list[str]:
        return [f"few-{number}" for number in range(N)]

    def test_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.images, self.labels), self.batch_size, sampler=self.test_sampler())


class Narrow(Few):
    """Labels of int32 and images of float64, as numpy makes them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.images, self.labels = self.images.double(), self.labels.int()


class OffByOne(Few):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.labels = self.labels + 5


class Unordered(Few):
    """A loader that leaves `test_sampler()` out, so that nobody can tell whose images these are."""

    def test_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.images, self.labels), self.batch_size, shuffle=True)


class Whole(Few):
    """Which yields no batches, but images alone."""

    def test_dataloader(self) -> Any:
        return DataLoader(self.images, self.batch_size, sampler=self.test_sampler())
