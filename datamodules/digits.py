"""scikit-learn's handwritten digits as CIFAR-10: a small real data set that is there without a download."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor
from torchvision.datasets import CIFAR10

from datamodules.cifar10 import CIFAR10DataModule
from datamodules.digit_images import HOLDOUT_PER_CLASS, enlarged, split_digits
from datamodules.parts import ensure_part
from lgm_bench.files import cache_folder

FACTOR = 4  # 8 pixels become 32
HOLDOUT = 10 * HOLDOUT_PER_CLASS


class DigitsDataModule(CIFAR10DataModule):
    """Handwritten digits (Alpaydin & Kaynak 1998, CC BY 4.0) of 32 x 32 pixels: 1,297 to train on, 500 to test on.

    The grey 8 x 8 images that come with scikit-learn are enlarged bilinearly and written once, as batches in CIFAR-10's
    layout, to `$LGM_BENCH_CACHE/digits`, else the user's cache folder; from there they are read as CIFAR-10 is. What is
    damaged is written again.

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
        """Write the batches, in one process, where they are not there yet.

        Raises:
            DataError: They cannot be written, another run keeps them locked, or scikit-learn's digits are other ones.
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


def _file(name: str, value: object) -> tuple[str, bytes]:
    return f"{CIFAR10.base_folder}/{name}", pickle.dumps(value, protocol=2)
