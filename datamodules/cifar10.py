"""CIFAR-10 (Krizhevsky 2009)."""

from pathlib import Path

from torch import Tensor

from datamodules.cifar_reader import read_cifar10
from datamodules.content import arrays_sha256
from datamodules.image_datamodule import ImageDataModule
from datamodules.sampler import RankStridedSampler, ShuffledSampler, rank_and_world
from datamodules.samples_datamodule import require_holdout
from datamodules.tensor_loader import TensorLoader, TrainingLoader
from lgm_bench.errors import ConfigError


class CIFAR10DataModule(ImageDataModule):
    """32 x 32 colour images of 10 classes: 50,000 to train on, 10,000 to test on.

    A split is decoded once into a uint8 tensor; batches are cut from it in the main process. Ids are the split and the
    place in its official order, "test-00042".

    Args:
        data_root: Folder with `cifar-10-batches-py`. None: `$LGM_BENCH_DATA/cifar10`, else `./data/cifar10`.
        batch_size: Images per batch and process.
        limit: Only the first so many images of the subset; None: all.
        subset: What `test_dataloader` yields: "test"; "train", all training images; "holdout", those held out.
        holdout: The last so many training images are held out: `val_dataloader` yields them, `train_dataloader` not.
        seed: Determines, with the epoch, order and augmentation in training.
        download: Fetch the official archive (170 MB) into `data_root` where the batches are missing or damaged.
        verify: Accept the official files only, by their MD5s. False: any batches in the official layout, such as
            miniature ones; loading them can run no code, but nothing else vouches for what is in them.

    Raises:
        ConfigError: batch_size or limit is below 1, holdout leaves nothing, or the subset is unknown.
    """

    name = "cifar10"
    num_classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    subsets = ("test", "train", "holdout")
    flips = True  # a mirrored image is a training image too

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 128,
        limit: int | None = None,
        subset: str = "test",
        holdout: int = 5000,
        seed: int = 0,
        download: bool = False,
        verify: bool = True,
    ) -> None:
        super().__init__(data_root, batch_size, limit, subset)
        require_holdout(holdout, subset, "images")
        self.holdout, self.seed = holdout, seed
        self.download, self.verify = download, verify
        self._splits: dict[bool, tuple[Tensor, Tensor]] = {}

    def prepare_data(self) -> None:
        """Download the data, in one process, if that was asked for."""
        if self.download:
            self._split(train=False)

    def setup(self, stage: str | None = None) -> None:
        """Read the training split to fit and validate, the subset's split to test.

        Raises:
            DataError: A file is missing, damaged or not in the official layout.
            ConfigError: No training image is left beside the held-out ones.
        """
        self._split(train=stage in ("fit", "validate") or self.subset != "test")

    def subset_ids(self) -> list[str]:
        """Return the ids of all of the subset's images in order."""
        train = self.subset != "test"
        n = len(self._split(train)[1])
        return sample_ids("train" if train else "test", range(self._first(n), n))

    def content_sha256(self) -> str:
        """Return the sha256 of the samples' pixels and labels."""
        pixels, labels = self._split(train=self.subset != "test")
        first = self._first(len(labels))
        end = first + len(self.sample_ids())
        return arrays_sha256(pixels[first:end], labels[first:end])

    def train_dataloader(self) -> TrainingLoader:
        """Return shuffled, augmented batches of all training images but the held-out ones."""
        pixels, labels = self._split(train=True)
        n = len(labels) - self.holdout
        rank, world = rank_and_world()
        sampler = ShuffledSampler(n, self.seed, rank, world)
        ids = sample_ids("train", range(n))
        return TrainingLoader(pixels[:n], labels[:n], ids, sampler, self.batch_size, flip=self.flips)

    def val_dataloader(self) -> TensorLoader:
        """Return this process's share of the held-out training images, in order and as they are."""
        pixels, labels = self._split(train=True)
        n, first = len(labels), len(labels) - self.holdout
        sampler = RankStridedSampler(self.holdout, *rank_and_world())
        return TensorLoader(
            pixels[first:], labels[first:], sample_ids("train", range(first, n)), sampler, self.batch_size
        )

    def test_dataloader(self) -> TensorLoader:
        """Return this process's share of the subset's images that are not done, in order."""
        pixels, labels = self._split(train=self.subset != "test")
        first = self._first(len(labels))
        return TensorLoader(pixels[first:], labels[first:], self.sample_ids(), self.test_sampler(), self.batch_size)

    def _first(self, n: int) -> int:
        return n - self.holdout if self.subset == "holdout" else 0

    def _split(self, train: bool) -> tuple[Tensor, Tensor]:
        if train not in self._splits:
            pixels, labels = self._read(train)
            if train and self.holdout >= len(labels):
                raise ConfigError(f"holdout {self.holdout} leaves none of the {len(labels)} training images; lower it")
            self._splits[train] = pixels, labels
        return self._splits[train]

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        return read_cifar10(self.data_root, train, self.verify, self.download)


def sample_ids(split: str, indices: range) -> list[str]:
    """Return the ids of images by their place in the official order of a split.

    >>> sample_ids("test", range(42, 44))
    ['test-00042', 'test-00043']
    """
    return [f"{split}-{index:05d}" for index in indices]
