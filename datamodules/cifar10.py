"""CIFAR-10 (Krizhevsky 2009): the official batches, or other batches in the same layout."""

import io
import pickle
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from datamodules.batch import ImageBatch
from datamodules.content import arrays_sha256
from datamodules.loaders import BatchLoader, ShuffledLoader, image_loader, training_loader
from datamodules.location import how_to_choose, reading
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

    The batches are pickles, and loading a pickle can run arbitrary code. With `verify`, torchvision compares the MD5 of
    every file with the official one before loading it. Without, an unpickler that accepts only NumPy arrays and plain
    values checks every file first.

    Args:
        root: The folder with `cifar-10-batches-py`.
        train: Whether to read the training split instead of the test split.
        verify: Whether to accept only the official files.
        download: Whether to download the official archive into `root` if files are missing or damaged.

    Returns:
        (N, 32, 32, 3) uint8 pixels, and (N,) int64 labels.

    Raises:
        DataError: A file is missing, damaged, unreadable or not in the layout; the message names it.
    """
    reader = CIFAR10 if verify else _OtherCIFAR10
    try:
        images = reader(str(root), train=train, download=download)
    except (RuntimeError, OSError) as error:
        with reading(CIFAR10DataModule.name):
            raise _explained(error, root, verify, download) from error
    return torch.from_numpy(images.data).contiguous(), torch.tensor(images.targets)


class _OtherCIFAR10(CIFAR10):  # type: ignore[misc]
    """torchvision's reader for other batches: it checks their layout instead of their MD5s."""

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
            raise DataError(f"{meta} is not CIFAR-10's list of class names: it must contain a list 'label_names'")
        return True


def official_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file of the official layout with its MD5; `batches.meta` comes last."""
    folder = root / CIFAR10.base_folder
    for name, md5 in [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]:
        yield folder / name, md5


class _HarmlessUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _HARMLESS.get(module, ()):
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which arrays do not need")
        return super().find_class(module, name)


def _load_harmless(path: Path) -> Any:
    try:
        content = path.read_bytes()
        for opcode, argument, _ in pickletools.genops(content):  # the unpickler would allocate memory for these
            if "PUT" in opcode.name and int(argument) > len(content):
                raise pickle.UnpicklingError(f"it stores a value at {argument}")
        return _HarmlessUnpickler(io.BytesIO(content), encoding="latin1").load()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{path} is truncated, damaged or not a CIFAR-10 batch: {error}") from error


def _require_batch(path: Path, batch: Any) -> None:
    pixels = batch.get("data") if isinstance(batch, dict) else None
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_VALUES,):
        raise DataError(f"{path} is not a CIFAR-10 batch: it must contain 'data', a (N, {_VALUES}) array of uint8")
    labels = batch.get("labels")
    if not isinstance(labels, list) or len(labels) != len(pixels):
        raise DataError(f"{path} is not a CIFAR-10 batch: it must contain 'labels', a list of {len(pixels)} labels")
    wrong = [label for label in labels if not isinstance(label, int) or not 0 <= label < _CLASSES]
    if wrong:
        shown = wrong[0] if isinstance(wrong[0], int) else f"of type {type(wrong[0]).__name__}"
        raise DataError(f"{path} holds the label {shown}; CIFAR-10's are 0 to {_CLASSES - 1}")


def _explained(error: Exception, root: Path, verify: bool, download: bool) -> DataError:
    folder = root / CIFAR10.base_folder
    files = list(official_files(root))
    missing = [path.name for path, _ in files if not path.is_file()]
    damaged = [path.name for path, md5 in files if verify and path.is_file() and not _intact(path, md5)]
    if not missing and not damaged:
        return DataError(f"cannot read CIFAR-10 in {folder}: {error}")
    if len(missing) == len(files):
        problem = f"no CIFAR-10 in {folder}"
    else:
        wrong = [("missing", missing), ("damaged or not the official file (its MD5 differs)", damaged)]
        problem = f"CIFAR-10 in {folder} is incomplete: " + "; ".join(
            f"{', '.join(names)} {what}" for what, names in wrong if names
        )
    if download:
        return DataError(f"{problem}, and downloading failed: {error}. Unpack {CIFAR10.url} in {root} yourself.")
    return DataError(f"{problem}. Unpack {CIFAR10.url} in {root}. {how_to_choose('cifar10')}")


def _intact(path: Path, md5: str) -> bool:
    try:
        return bool(check_integrity(str(path), md5))
    except OSError:
        return False


class CIFAR10DataModule(ImageDataModule):
    """Colour images of 32 x 32 pixels in 10 classes: 50,000 to train on, 10,000 to test on.

    A split is decoded once into a uint8 tensor, and batches are cut from it in the main process. Sample ids are the
    split and the index in its official order, such as "test-00042".

    Args:
        data_root: The folder with `cifar-10-batches-py`. None: `$LGM_BENCH_DATA/cifar10`, else `./data/cifar10`.
        batch_size: Images per batch and process.
        limit: Number of images to use, the first ones of the subset; None: all.
        subset: What `test_dataloader` yields: "test", "train" (all training images) or "holdout" (the held-out ones).
        holdout: Number of training images to hold out, the last ones. `val_dataloader` yields these, and
            `train_dataloader` the others.
        seed: Determines, with the epoch, order and augmentation in training.
        download: Whether to download the official archive (170 MB) if batches are missing or damaged.
        verify: Whether to accept only the official files, by their MD5. Otherwise any batches in the official layout
            are accepted. Loading them cannot run code, but their content is not verified.

    Raises:
        ConfigError: batch_size or limit is below 1, holdout is invalid, or the subset is unknown.
    """

    name = "cifar10"
    num_classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    subsets = ("test", "train", "holdout")
    flips = True  # training images are randomly mirrored

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
        """Download the data if `download` is set; Lightning calls this in one process."""
        if self.download:
            self._split(train=False)

    def setup(self, stage: str | None = None) -> None:
        """Read the training split (to fit and validate) or the subset's split (to test).

        Raises:
            DataError: A file is missing, damaged or not in the official layout.
            ConfigError: All training images would be held out.
        """
        self._split(train=stage in ("fit", "validate") or self.subset != "test")

    def subset_ids(self) -> list[str]:
        train = self.subset != "test"
        n = len(self._split(train)[1])
        return sample_ids("train" if train else "test", range(self._first(n), n))

    def content_sha256(self) -> str:
        pixels, labels = self._split(train=self.subset != "test")
        first = self._first(len(labels))
        end = first + len(self.sample_ids())
        return arrays_sha256(pixels[first:end], labels[first:end])

    def train_dataloader(self) -> ShuffledLoader[ImageBatch]:
        """Return shuffled, augmented batches of the training images that are not held out."""
        pixels, labels = self._split(train=True)
        n = len(labels) - self.holdout
        order, ids = ShuffledSampler(n, self.seed, *rank_and_world()), sample_ids("train", range(n))
        return training_loader(pixels[:n], labels[:n], ids, order, self.batch_size, flip=self.flips)

    def val_dataloader(self) -> BatchLoader[ImageBatch]:
        """Return this process's share of the held-out training images, in order and unchanged."""
        pixels, labels = self._split(train=True)
        n, first = len(labels), len(labels) - self.holdout
        sampler, ids = RankStridedSampler(self.holdout, *rank_and_world()), sample_ids("train", range(first, n))
        return image_loader(pixels[first:], labels[first:], ids, sampler, self.batch_size)

    def test_dataloader(self) -> BatchLoader[ImageBatch]:
        """Return this process's share of the subset's images that are not done, in order."""
        pixels, labels = self._split(train=self.subset != "test")
        first = self._first(len(labels))
        return image_loader(pixels[first:], labels[first:], self.sample_ids(), self.test_sampler(), self.batch_size)

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
    """Return the ids of images, given their indices in the official order of a split.

    >>> sample_ids("test", range(42, 44))
    ['test-00042', 'test-00043']
    """
    return [f"{split}-{index:05d}" for index in indices]
