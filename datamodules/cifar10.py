"""CIFAR-10 (Krizhevsky 2009), from the official python batches."""

from pathlib import Path
from typing import Literal

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torchvision.datasets import CIFAR10

from datamodules.location import data_folder, how_to_choose
from datamodules.sampler import RankStridedSampler, ShuffledSampler, rank_and_world
from datamodules.tensor_loader import TensorLoader
from lgm_bench.errors import ConfigError, DataError

SUBSETS = ("test", "train", "holdout")


class CIFAR10DataModule(LightningDataModule):
    """32 x 32 colour images of 10 classes: 50,000 to train on, 10,000 to test on.

    Each split is decoded once into a uint8 tensor and batches are cut from it in the main process.

    Args:
        data_root: Folder with `cifar-10-batches-py`. None: `$LGM_BENCH_DATA/cifar10`, else `./data/cifar10`.
        batch_size: Images per batch and process.
        limit: Only the first so many images of `test_dataloader`; None: all.
        subset: What `test_dataloader` yields: "test", "train" (all 50,000) or "holdout" (see there).
        holdout: The last so many training images are held out: `val_dataloader` yields them, `train_dataloader` not.
        seed: Determines, with the epoch, order and augmentation in training.
        download: Fetch the official archive (170 MB) into `data_root` if the batches are not there.

    Attributes:
        done: Ids that `test_dataloader` leaves out; set it before asking for the loader.
    """

    name = "cifar10"
    num_classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 128,
        limit: int | None = None,
        subset: Literal["test", "train", "holdout"] = "test",
        holdout: int = 5000,
        seed: int = 0,
        download: bool = False,
    ) -> None:
        super().__init__()
        self.data_root = data_folder(self.name, data_root)
        self.batch_size, self.limit, self.subset = batch_size, limit, subset
        self.holdout, self.seed, self.download = holdout, seed, download
        self.done: set[str] = set()
        self._splits: dict[bool, tuple[Tensor, Tensor]] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read what the stage needs: the training batches to fit, those of the subset to test."""
        if stage in ("fit", "validate"):
            self._split(train=True)
        else:
            self._split(train=self.subset != "test")

    def sample_ids(self) -> list[str]:
        """Return the ids of the images of `test_dataloader`, in order, with the limit applied but not `done`."""
        train = self.subset != "test"
        n = len(self._split(train)[1])
        first = n - self.holdout if self.subset == "holdout" else 0
        return sample_ids("train" if train else "test", range(first, n))[: self.limit]

    def train_dataloader(self) -> TensorLoader:
        """Return shuffled, augmented batches of all training images but the held-out ones."""
        pixels, labels = self._split(train=True)
        n = len(labels) - self.holdout
        rank, world = rank_and_world()
        sampler = ShuffledSampler(n, self.seed, rank, world)
        return TensorLoader(pixels[:n], labels[:n], sample_ids("train", range(n)), sampler, self.batch_size)

    def val_dataloader(self) -> TensorLoader:
        """Return the held-out training images, in order."""
        pixels, labels = self._split(train=True)
        n = len(labels)
        first = n - self.holdout
        sampler = RankStridedSampler(self.holdout, *rank_and_world())
        ids = sample_ids("train", range(first, n))
        return TensorLoader(pixels[first:], labels[first:], ids, sampler, self.batch_size)

    def test_dataloader(self) -> TensorLoader:
        """Return this rank's share of the subset's images that are not done, in order."""
        pixels, labels = self._split(train=self.subset != "test")
        first = len(labels) - self.holdout if self.subset == "holdout" else 0
        ids = self.sample_ids()
        done = [index for index, sample_id in enumerate(ids) if sample_id in self.done]
        sampler = RankStridedSampler(len(ids), *rank_and_world(), done=done)
        return TensorLoader(pixels[first:], labels[first:], ids, sampler, self.batch_size)

    def _split(self, train: bool) -> tuple[Tensor, Tensor]:
        if train not in self._splits:
            self._splits[train] = self._read(train)
        return self._splits[train]

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        try:
            reader = CIFAR10(str(self.data_root), train=train, download=self.download)
        except RuntimeError as error:
            folder = self.data_root / CIFAR10.base_folder
            raise DataError(f"no complete CIFAR-10 in {folder}: {error}. {how_to_choose(self.name)}") from error
        return torch.from_numpy(reader.data).contiguous(), torch.tensor(reader.targets)


def sample_ids(split: str, indices: range) -> list[str]:
    """Return the ids of images by their place in the official order of a split.

    >>> sample_ids("test", range(42, 44))
    ['test-00042', 'test-00043']
    """
    return [f"{split}-{index:05d}" for index in indices]
