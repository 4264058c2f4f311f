"""Handwritten digits in CIFAR-10's layout: a small real data set that ships with the package."""

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

    The images of each class are ordered by the sha256 of their pixels: an arbitrary order that is the same on every
    machine. The first 50 are test images. The last 20 are placed at the end of the training images, to be held out.
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
    """Enlarge images (N, 8, 8) in 0..16 bilinearly to (N, 8 * factor, 8 * factor) uint8.

    The computation uses integers only, so every machine gets exactly the same result.

    >>> enlarged(np.full((1, 8, 8), 16), 4)[0, 0, 0]
    np.uint8(255)
    """
    whole = 2 * factor
    weights = np.zeros((SIDE * factor, SIDE), np.int64)  # of the two nearest of the 8 pixels; they add up to `whole`
    for place in range(SIDE * factor):
        parts = min(max(2 * place + 1 - factor, 0), whole * (SIDE - 1))
        weights[place, parts // whole] += whole - parts % whole
        weights[place, min(parts // whole + 1, SIDE - 1)] += parts % whole
    values = weights @ images.astype(np.int64) @ weights.T
    most = LEVELS * whole**2
    return ((values * 255 + most // 2) // most).astype(np.uint8)


class DigitsDataModule(CIFAR10DataModule):
    """Handwritten digits (Alpaydin & Kaynak 1998, CC BY 4.0) of 32 x 32 pixels: 1,297 to train on, 500 to test on.

    The grey 8 x 8 images are enlarged and written once, as batches in CIFAR-10's layout, to `$LGM_BENCH_CACHE/digits`
    or the user's cache folder, and read from there like CIFAR-10. Damaged batches are written again. A subset starts
    with the first image of every class, then the second of every class, and so on. Digits are not mirrored in training.

    For the arguments see `CIFAR10DataModule`; `data_root` is ignored, since the images ship with the package.
    """

    name = "digits"
    class_names = tuple("0123456789")
    flips = False

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 128,
        limit: int | None = None,
        subset: str = "test",
        holdout: int = 10 * HOLDOUT_PER_CLASS,
        seed: int = 0,
    ) -> None:
        super().__init__(data_root, batch_size, limit, subset, holdout, seed, verify=False)

    def folder(self, data_root: Path | str | None) -> Path:  # noqa: ARG002
        return cache_folder(self.name)

    def prepare_data(self) -> None:
        """Write the batches if any is missing or damaged; Lightning calls this in one process.

        Raises:
            DataError: They cannot be written, or another run has locked them.
        """
        ensure_part(self.data_root, "batches", batch_files)

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        self.prepare_data()
        return super()._read(train)


def batch_files() -> Iterator[tuple[str, bytes]]:
    """Yield the digits as files in CIFAR-10's layout."""
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
