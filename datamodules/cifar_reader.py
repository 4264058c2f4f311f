"""Reading CIFAR-10's python batches: the official ones, or others in their layout."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from datamodules.location import how_to_choose
from lgm_bench.errors import DataError

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
