"""Reads trees of image files with one folder per class."""

import itertools
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from datamodules.location import regular_file
from lgm_bench.errors import DataError, did_you_mean

_ENDINGS = (".jpeg", ".jpg", ".png")


class ImageFile(NamedTuple):
    """An image file with its class index and its id: "CLASS/NAME", the file's name without its ending."""

    path: Path
    label: int
    sample_id: str


def read_tree(folder: Path, classes: Sequence[str], remedy: str) -> list[ImageFile]:
    """List the images below a folder: the first of every class, then the second of every class, and so on.

    Hidden files are left out, as are other files than images beside the class folders.

    Args:
        folder: The folder that contains the class folders; not every class needs one.
        classes: Names of the class folders, in the order of the class indices.
        remedy: How to get the data; the end of error messages.

    Raises:
        DataError: The folder is missing or empty; a folder in it is not a class or has no images; an image lies beside
            the class folders; a file in a class folder is not an image; or two images have the same id.
    """
    if not folder.is_dir():
        raise DataError(f"no images: {folder} is not a folder. {remedy}")
    places = {name: index for index, name in enumerate(classes)}
    by_class = []
    for entry in _visible(folder, remedy):
        if entry.is_dir():
            if entry.name not in places:
                raise DataError(
                    f"{entry} does not have the name of any of the {len(classes)} classes{_hint(entry, places)}"
                )
            by_class.append(_class_images(entry, places[entry.name], remedy))
        elif entry.suffix.lower() in _ENDINGS:
            raise DataError(f"{entry} lies beside the class folders, so its class is unknown. {remedy}")
    if not by_class:
        raise DataError(f"{folder} contains no class folders. {remedy}")
    ranked = [(place, file) for files in by_class for place, file in enumerate(files)]
    return [file for _, file in sorted(ranked, key=lambda entry: (entry[0], entry[1].label))]


def read_image(path: Path) -> Image.Image:
    """Return an image as 8-bit RGB; grey images of 16 bits are scaled.

    Raises:
        DataError: The file cannot be opened or completely decoded.
    """
    try:
        with Image.open(regular_file(path)) as image:
            return (_eight_bits(image) if image.mode.startswith("I") else image).convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the image {path}: {error}. Copy it again from its source.") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale a grey image from 16 to 8 bits; `Image.convert` would clip its values at 255."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"its grey values are {grey.min()} to {grey.max()}; expected 0 to 65535")
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8))


def _class_images(folder: Path, label: int, remedy: str) -> list[ImageFile]:
    files = []
    for path in _visible(folder, remedy):
        if path.suffix.lower() not in _ENDINGS:
            raise DataError(f"{path} is not an image ({', '.join(_ENDINGS)}). Remove it, or get the file again.")
        files.append(ImageFile(path, label, f"{folder.name}/{path.stem}"))
    if not files:
        raise DataError(f"{folder} is empty. {remedy}")
    for file, following in itertools.pairwise(files):
        if file.sample_id == following.sample_id:
            raise DataError(f"{file.path} and {following.path} have the same id {file.sample_id!r}. Remove one.")
    return files


def _visible(folder: Path, remedy: str) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir(), key=lambda path: (path.stem, path.name))
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}. {remedy}") from error
    return (entry for entry in entries if not entry.name.startswith("."))


def _hint(entry: Path, places: dict[str, int]) -> str:
    near = did_you_mean(entry.name, places)
    return f"{near} Rename or remove it." if "did you mean" in near else ". Rename or remove it."
