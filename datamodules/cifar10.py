"""CIFAR-10 (Krizhevsky 2009): the official batches, or others in their layout."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from datamodules.content import arrays_sha256
from datamodules.loaders import TensorLoader, TrainingLoader
from datamodules.location import how_to_choose
from datamodules.sampler import RankStridedSampler, ShuffledSampler, rank_and_world
from datamodules.samples_datamodule import ImageDataModule, require_holdout
from lgm_bench.errors import ConfigError, DataError

_CLASSES = 10
_VALUES = 3 * 32 * 32
_HARMLESS = {
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct"},
    "numpy._core.multiarray": {"_reconstruct"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "_codecs": {"encode"},
}


def read_cifar10(root: Path, train: bool, verify: bool = True, download: bool = False) -> tuple[Tensor, Tensor]:
    """Return the images and labels of one split, in the official order.

    The batches are pickles, and a pickle can run any code when it is loaded. With `verify`, torchvision compares every
    file with its official MD5 before it loads it. Without, every file is first read by an unpickler that knows NumPy
    arrays and plain values only.

    Args:
        root: Folder with `cifar-10-batches-py`.
        train: The training split rather than the test split.
        verify: Accept the official files only.
        download: Fetch the official archive into `root` where files are missing or damaged.

    Returns:
        (N, 32, 32, 3) uint8 pixels, and (N,) int64 labels.

    Raises:
        DataError: A file is missing, damaged, unreadable or not in the layout; it is named.
    """
    reader = CIFAR10 if verify else _OtherCIFAR10
    try:
        images = reader(str(root), train=train, download=download)
    except (RuntimeError, OSError) as error:
        raise _explained(error, root, verify, download) from error
    return torch.from_numpy(images.data).contiguous(), torch.tensor(images.targets)


class _OtherCIFAR10(CIFAR10):  # type: ignore[misc]
    """torchvision's reader for batches of other contents and sizes: their layout is checked in place of their MD5s."""

    train_list = [[name, None] for name, _ in CIFAR10.train_list]  # noqa: RUF012
    test_list = [[name, None] for name, _ in CIFAR10.test_list]  # noqa: RUF012
    meta = {**CIFAR10.meta, "md5": None}  # noqa: RUF012

    def _check_integrity(self) -> bool:
        paths = [path for path, _ in official_files(Path(self.root))]
        if not all(path.is_file() for path in paths):
            return False
        *batches, meta = paths
        for path in batches:
            _require_batch(path, _load_harmless(path))
        names = _load_harmless(meta)
        if not isinstance(names, dict) or not isinstance(names.get("label_names"), list):
            raise DataError(f"{meta} is not CIFAR-10's list of class names: it must hold a list 'label_names'")
        return True


def official_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file of the official layout below a data root with its MD5, `batches.meta` last."""
    folder = root / CIFAR10.base_folder
    for name, md5 in [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]:
        yield folder / name, md5


class _HarmlessUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _HARMLESS.get(module, ()):
            self._refuse(module, name)
        return super().find_class(module, name)

    def _refuse(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")


def _load_harmless(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _HarmlessUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle raises whatever its random bytes lead to
        raise DataError(f"{path} is truncated, damaged or no CIFAR-10 batch: {error}") from error


def _require_batch(path: Path, batch: Any) -> None:
    pixels = batch.get("data") if isinstance(batch, dict) else None
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_VALUES,):
        raise DataError(f"{path} is no CIFAR-10 batch: it must hold 'data', a (N, {_VALUES}) array of uint8")
    labels = batch.get("labels")
    if not isinstance(labels, list) or len(labels) != len(pixels):
        raise DataError(f"{path} is no CIFAR-10 batch: it must hold 'labels', a list of {len(pixels)} labels")
    wrong = [label for label in labels if not isinstance(label, int) or not 0 <= label < _CLASSES]
    if wrong:
        raise DataError(f"{path} holds the label {wrong[0]!r}; CIFAR-10's are 0 to {_CLASSES - 1}")


def _explained(error: Exception, root: Path, verify: bool, download: bool) -> DataError:
    folder = root / CIFAR10.base_folder
    files = list(official_files(root))
    missing = [path.name for path, _ in files if not path.is_file()]
    damaged = [path.name for path, md5 in files if verify and path.is_file() and not _intact(path, md5)]
    if not missing and not damaged:
        return DataError(f"cannot read CIFAR-10 in {folder}: {error}")
    if len(missing) == len(files):
        found = f"no CIFAR-10 in {folder}"
    else:
        wrong = [("missing", missing), ("damaged or not the official file (its MD5 differs)", damaged)]
        found = f"CIFAR-10 in {folder} is incomplete: " + "; ".join(
            f"{', '.join(names)} {what}" for what, names in wrong if names
        )
    if download:
        return DataError(f"{found}, and downloading failed: {error}. Unpack {CIFAR10.url} in {root} yourself.")
    return DataError(f"{found}. Unpack {CIFAR10.url} in {root}, or pass download=True. {how_to_choose('cifar10')}")


def _intact(path: Path, md5: str) -> bool:
    try:
        return bool(check_integrity(str(path), md5))
    except OSError:
        return False


class CIFAR10DataModule(ImageDataModule):
    """32 x 32 colour images of 10 classes: 50,000 to train on, 10,000 to test on.

    A split is decoded once into a uint8 tensor; batches are cut from it in the main process. Ids are the split and the
    place in its official order, "test-00042".

    Args:
        data_root: Folder with `cifar-10-batches-py`. None: `$LGM_BENCH_DATA/cifar10`, else `./data/cifar10`.
        batch_size: Images per batch and process.
        limit: Only the first so many images of the subset; None: all.
        subset: What `test_dataloader` yields: "test"; "train", all training images; "holdout", those held out.
        holdout: Number of training images to hold out, the last ones: for `val_dataloader`, not for `train_dataloader`.
        seed: With the epoch, it determines order and augmentation in training.
        download: Fetch the official archive (170 MB) into `data_root` where the batches are missing or damaged.
        verify: Accept the official files only, by their MD5s. False: any batches in the official layout, such as
            miniature ones. Loading them can run no code, but their content is not verified.

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
