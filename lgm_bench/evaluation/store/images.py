"""Attacked images on disk: an .npz each."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lgm_bench.evaluation.store.arrays import read_sample, write_sample


class SavedImage(NamedTuple):
    """One image before and after an attack. In the .npz, arrays of these names.

    Where all images of a targeted attack are kept, `adversarial`, `target` and `adversarial_prediction` have one entry
    for every target in their first dimension; an example is one attempt, as is an untargeted attack.

    Attributes:
        id: Of the sample.
        clean: (3, H, W) float32 in [0, 1].
        adversarial: (3, H, W) or (T, 3, H, W) float32; attacks of the protocol "official" may leave [0, 1].
        label: () int64, the true class.
        target: () or (T,) int64, the class wanted; -1 in untargeted attacks.
        clean_prediction: () int64, of the hard network before the attack.
        adversarial_prediction: () or (T,) int64, of the hard network after it.
    """

    id: str
    clean: Tensor
    adversarial: Tensor
    label: Tensor
    target: Tensor
    clean_prediction: Tensor
    adversarial_prediction: Tensor


def save_image(folder: Path, image: SavedImage) -> None:
    """Write an image into a folder, which exists, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_sample(folder, image)


def load_image(path: Path) -> SavedImage:
    """Return an image that was saved as .npz.

    Raises:
        ResultError: The file is missing, damaged or holds something else.
    """
    return read_sample(path, SavedImage, "saved image")
