"""scikit-learn's handwritten digits, split and enlarged: what the generated data sets of images are made of."""

import hashlib
from typing import Any

import numpy as np

from lgm_bench.errors import DataError

SIDE = 8
LEVELS = 16
TEST_PER_CLASS, HOLDOUT_PER_CLASS = 50, 20
_SHA256 = "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"


def split_digits() -> dict[bool, tuple[np.ndarray, np.ndarray]]:
    """Return scikit-learn's digits as {train: (images (N, 8, 8) in 0..16, labels (N,))}, N = 500 and 1,297.

    A class's images are taken in the order of the sha256 of their pixels, which is arbitrary and yet the same on every
    machine: the first 50 are for testing, the last 20 are the last ones of the training images.

    Raises:
        DataError: They are not the digits that the miniature victims were trained on.
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    images, labels = source.images.astype(np.uint8), source.target
    if hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest() != _SHA256:
        raise DataError(
            "scikit-learn's digits are not those that the miniature victims were trained on: install another version "
            "of scikit-learn"
        )
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    of_class = [sorted(np.flatnonzero(labels == digit), key=lambda index: hashes[index]) for digit in range(10)]
    test = _interleaved([indices[:TEST_PER_CLASS] for indices in of_class])
    fitted = _interleaved([indices[TEST_PER_CLASS:-HOLDOUT_PER_CLASS] for indices in of_class])
    train = fitted + _interleaved([indices[-HOLDOUT_PER_CLASS:] for indices in of_class])
    return {False: (images[test], labels[test]), True: (images[train], labels[train])}


def enlarged(images: np.ndarray, factor: int) -> np.ndarray:
    """Return images (N, 8, 8) in 0..16 as (N, 8 * factor, 8 * factor) uint8.

    They are enlarged bilinearly; in integers, so that every machine gets the same to the last bit.

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


def _interleaved(columns: list[list[Any]]) -> list[Any]:
    longest = max(map(len, columns))
    return [column[row] for row in range(longest) for column in columns if row < len(column)]
