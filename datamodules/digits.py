"""scikit-learn's handwritten digits: a small real data set that is there without a download."""

import hashlib
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from torch import Tensor
from torchvision.datasets import CIFAR10

from datamodules.cifar10 import CIFAR10DataModule
from datamodules.cifar_reader import read_cifar10
from lgm_bench.errors import DataError
from lgm_bench.files import CACHE_VARIABLE, cache_folder

TEST_PER_CLASS, HOLDOUT = 50, 200
LOCK_SECONDS = 60.0
_SHA256 = {
    False: "2a559aac71e49905aadc114c285da6505dbd469d31ac11efc8958634060d142d",
    True: "54e035a1292dc04ac1cf4c4f15db915eb4c971312966c8ff2c3c5426542bd319",
}


class DigitsDataModule(CIFAR10DataModule):
    """Handwritten digits (Alpaydin & Kaynak 1998, CC BY 4.0) of 32 x 32 pixels: 1,297 to train on, 500 to test on.

    The grey 8 x 8 images that come with scikit-learn are enlarged bilinearly and written once, as batches in CIFAR-10's
    layout, to `$LGM_BENCH_CACHE/digits`, else the user's cache folder; from there they are read as CIFAR-10 is, and
    compared with the digits that the miniature victims were trained on. What is damaged is written again.

    Args:
        data_root: Not used, since the images need not be brought; every data set takes one.
        batch_size: See `CIFAR10DataModule`, as of all that follow.
        limit: The first images are one of each class, then the second of each class, and so on.
        subset: "test", "train" or "holdout".
        holdout: The last so many training images are held out; 20 of each class are last.
        seed: Determines, with the epoch, order and shifts in training. Digits are not mirrored.

    Raises:
        ConfigError: batch_size or limit is below 1, holdout leaves nothing, or the subset is unknown.
    """

    name = "digits"
    class_names = tuple("0123456789")
    flips = False

    def __init__(
        self,
        data_root: Path | str | None = None,  # noqa: ARG002
        batch_size: int = 128,
        limit: int | None = None,
        subset: str = "test",
        holdout: int = HOLDOUT,
        seed: int = 0,
    ) -> None:
        super().__init__(cache_folder(self.name), batch_size, limit, subset, holdout, seed, verify=False)

    def prepare_data(self) -> None:
        """Write the batches, in one process, where they are not there yet."""
        self._split(train=False)

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        try:
            return read_digits(self.data_root, train)
        except DataError:
            write_digits(self.data_root)
            return read_digits(self.data_root, train)


def read_digits(root: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Return one split of the digits written below `root`: (N, 32, 32, 3) uint8 pixels, (N,) int64 labels.

    Raises:
        DataError: There are none, or they are not the ones that the miniature victims were trained on.
    """
    pixels, labels = read_cifar10(root, train, verify=False)
    if digest(pixels, labels) != _SHA256[train]:
        raise DataError(
            f"the digits in {root} are not those that the miniature victims were trained on: remove that folder, and "
            "if that does not help, install another version of scikit-learn"
        )
    return pixels, labels


def write_digits(root: Path) -> None:
    """Write the digits below `root` as batches in CIFAR-10's layout, all or nothing, in place of what is there.

    Raises:
        DataError: The folder cannot be written, or another run keeps it locked.
    """
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_name(f".{root.name}.lock"), timeout=LOCK_SECONDS):
            if not _is_complete(root):
                _replace(root)
    except Timeout as error:
        raise DataError(
            f"{root} is locked by another run for more than {LOCK_SECONDS:.0f} s; wait for it to finish"
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot write the digits to {root}: {error.strerror or error}; free some space, or set {CACHE_VARIABLE} "
            "to a folder that can be written"
        ) from error


def digest(pixels: Tensor, labels: Tensor) -> str:
    """Return the sha256 of a split's values."""
    return hashlib.sha256(pixels.numpy().tobytes() + labels.numpy().astype("<i8").tobytes()).hexdigest()


def split_digits() -> dict[bool, tuple[np.ndarray, np.ndarray]]:
    """Return scikit-learn's digits as {train: (images (N, 8, 8) in 0..16, labels (N,))}, N = 500 and 1,297.

    A class's images are taken in the order of the sha256 of their pixels, which is arbitrary and yet the same on every
    machine: the first 50 are for testing, the last 20 are the last ones of the training images.
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    images, labels = source.images.astype(np.uint8), source.target
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    of_class = [sorted(np.flatnonzero(labels == digit), key=lambda index: hashes[index]) for digit in range(10)]
    held = HOLDOUT // 10
    test = _interleaved([indices[:TEST_PER_CLASS] for indices in of_class])
    fitted = _interleaved([indices[TEST_PER_CLASS:-held] for indices in of_class])
    train = fitted + _interleaved([indices[-held:] for indices in of_class])
    return {False: (images[test], labels[test]), True: (images[train], labels[train])}


def enlarged(images: np.ndarray) -> np.ndarray:
    """Return images (N, 8, 8) in 0..16 as (N, 32, 32) uint8, enlarged bilinearly; in integers, so to the last bit.

    >>> enlarged(np.full((1, 8, 8), 16))[0, 0, 0]
    np.uint8(255)
    """
    weights = np.zeros((32, 8), np.int64)  # eighths, of the two nearest of the 8 pixels
    for place in range(32):
        eighths = min(max(2 * place - 3, 0), 56)
        weights[place, eighths // 8] += 8 - eighths % 8
        weights[place, min(eighths // 8 + 1, 7)] += eighths % 8
    values = weights @ images.astype(np.int64) @ weights.T  # 0..1024
    return ((values * 255 + 512) // 1024).astype(np.uint8)


def _interleaved(columns: list[list[Any]]) -> list[Any]:
    longest = max(map(len, columns))
    return [column[row] for row in range(longest) for column in columns if row < len(column)]


def _is_complete(root: Path) -> bool:
    try:
        return all(len(read_digits(root, train)[1]) for train in (False, True))
    except DataError:
        return False


def _replace(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as temporary:
        new = Path(temporary) / "new"
        _write_batches(new / CIFAR10.base_folder)
        if root.exists():
            root.rename(Path(temporary) / "old")
        new.rename(root)


def _write_batches(folder: Path) -> None:
    folder.mkdir(parents=True)
    splits = split_digits()
    for train, files in ((True, CIFAR10.train_list), (False, CIFAR10.test_list)):
        images, labels = splits[train]
        rows = np.repeat(enlarged(images).reshape(len(images), 1, -1), 3, axis=1).reshape(len(images), -1)
        for (name, _), part in zip(files, np.array_split(np.arange(len(images)), len(files)), strict=True):
            batch = {"batch_label": name, "labels": labels[part].tolist(), "data": rows[part]}
            _dump(batch | {"filenames": [f"{index}.png" for index in part]}, folder / name)
    meta = {"num_cases_per_batch": len(splits[False][1]), "label_names": list("0123456789"), "num_vis": rows.shape[1]}
    _dump(meta, folder / CIFAR10.meta["filename"])


def _dump(value: object, path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump(value, file, protocol=2)
