"""Handwritten digits as CIFAR-10: a small real data set that comes with the package."""

import hashlib
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torchvision.datasets import CIFAR10

from datamodules.cifar10 import CIFAR10DataModule
from datamodules.generated.miniature import ensure_part
from lgm_bench.files import cache_folder

SIDE = 8
LEVELS = 16
TEST_PER_CLASS, HOLDOUT_PER_CLASS = 50, 20
FACTOR = 4  # 8 pixels become 32
DIGITS = Path(__file__).with_name("digits.npz")
"""The 1,797 digits of scikit-learn's `load_digits` (Alpaydin & Kaynak 1998, CC BY 4.0): images 0..16, labels."""


@cache
def split_digits() -> dict[bool, tuple[np.ndarray, np.ndarray]]:
    """Return the digits as {train: (images (N, 8, 8) uint8 in 0..16, labels (N,) int64)}, N = 500 and 1,297.

    The images of a class are ordered by the sha256 of their pixels, which is arbitrary and yet the same on every
    machine: the first 50 are for testing, the last 20 are the last ones of the training images.
    """
    with np.load(DIGITS) as source:
        images, labels = source["images"], source["labels"].astype(np.int64)
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    of_class = [sorted(np.flatnonzero(labels == digit), key=lambda index: hashes[index]) for digit in range(10)]
    test = _interleaved([indices[:TEST_PER_CLASS] for indices in of_class])
    fitted = _interleaved([indices[TEST_PER_CLASS:-HOLDOUT_PER_CLASS] for indices in of_class])
    train = fitted + _interleaved([indices[-HOLDOUT_PER_CLASS:] for indices in of_class])
    return {False: (images[test], labels[test]), True: (images[train], labels[train])}


def enlarged(images: np.ndarray, factor: int) -> np.ndarray:
    """Return images (N, 8, 8) in 0..16 as (N, 8 * factor, 8 * factor) uint8, enlarged bilinearly.

    Computed in integers, so that every machine gets the same to the last bit.

    >>> enlarged(np.full((1, 8, 8), 16), 4)[0, 0, 0]
    np.uint8(255)
    """
    whole = 2 * factor
    weights = np.zeros((SIDE * factor, SIDE), np.int64)  # of the two nearest of the 8 pixels, `whole` together
    for place in range(SIDE * factor):
        parts = min(max(2 * place + 1 - factor, 0), whole * (SIDE - 1))
        weights[place, parts // whole] += whole - parts % whole
        weights[place, min(parts // whole + 1, SIDE - 1)] += parts % whole
    values = weights @ images.astype(np.int64) @ weights.T
    most = LEVELS * whole**2
    return ((values * 255 + most // 2) // most).astype(np.uint8)


class DigitsDataModule(CIFAR10DataModule):
    """Handwritten digits (Alpaydin & Kaynak 1998, CC BY 4.0) of 32 x 32 pixels: 1,297 to train on, 500 to test on.

    The grey 8 x 8 images are enlarged and written once, as batches in CIFAR-10's layout, to `$LGM_BENCH_CACHE/digits`,
    else the user's cache folder, and are read from there as CIFAR-10 is. Damaged batches are written again. The first
    images are one of each class, then the second of each class, and so on. Digits are not mirrored in training.

    Args:
        data_root: Ignored, since the images come with the package; every data set takes one.
        holdout: Number of training images to hold out, the last ones.
        options: The others of `CIFAR10DataModule`.
    """

    name = "digits"
    class_names = tuple("0123456789")
    flips = False

    def __init__(
        self,
        data_root: Path | str | None = None,  # noqa: ARG002
        holdout: int = 10 * HOLDOUT_PER_CLASS,
        **options: Any,
    ) -> None:
        super().__init__(cache_folder(self.name), holdout=holdout, verify=False, **options)

    def prepare_data(self) -> None:
        """Write the batches, in one process, where they are missing or damaged.

        Raises:
            DataError: They cannot be written, or another run keeps them locked.
        """
        ensure_part(self.data_root, "batches", batch_files)

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        self.prepare_data()
        return super()._read(train)


def batch_files() -> Iterator[tuple[str, bytes]]:
    """Yield the digits as the files of CIFAR-10's layout."""
    splits = split_digits()
    for train, names in ((True, CIFAR10.train_list), (False, CIFAR10.test_list)):
        images, labels = splits[train]
        rows = np.repeat(enlarged(images, FACTOR).reshape(len(images), 1, -1), 3, axis=1).reshape(len(images), -1)
        for (name, _), part in zip(names, np.array_split(np.arange(len(images)), len(names)), strict=True):
            batch = {"batch_label": name, "labels": labels[part].tolist(), "data": rows[part]}
            yield _file(name, batch | {"filenames": [f"{index}.png" for index in part]})
    meta = {"num_cases_per_batch": len(splits[False][1]), "label_names": list("0123456789"), "num_vis": rows.shape[1]}
    yield _file(CIFAR10.meta["filename"], meta)


def _interleaved(columns: list[list[Any]]) -> list[Any]:
    longest = max(map(len, columns))
    return [column[row] for row in range(longest) for column in columns if row < len(column)]


def _file(name: str, value: object) -> tuple[str, bytes]:
    return f"{CIFAR10.base_folder}/{name}", pickle.dumps(value, protocol=2)
