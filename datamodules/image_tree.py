"""Trees of image files, one folder a class."""

import itertools
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from lgm_bench.errors import DataError, did_you_mean

_ENDINGS = (".jpeg", ".jpg", ".png")


class ImageFile(NamedTuple):
    """An image on disk with the index of its class and its id, "class/file name without ending"."""

    path: Path
    label: int
    sample_id: str


def read_tree(folder: Path, classes: Sequence[str], remedy: str) -> list[ImageFile]:
    """Return the images below a folder: the first of every class, then the second of every class, and so on.

    Hidden files are left out, and so are files beside the class folders that are no images.

    Args:
        folder: Folder of class folders; some of the classes may have none.
        classes: Names of class folders; a name's place is the class's index.
        remedy: How to get the data, the end of every message.

    Raises:
        DataError: The folder is missing or empty; a folder in it is no class or has no images; an image lies beside
            the class folders; a file in a class folder is no image; or two images have one id.
    """
    if not folder.is_dir():
        raise DataError(f"images were looked for in {folder}, which is no folder. {remedy}")
    places = {name: index for index, name in enumerate(classes)}
    by_class = []
    for entry in _visible(folder, remedy):
        if entry.is_dir():
            if entry.name not in places:
                raise DataError(f"{entry} is named like none of the {len(classes)} classes{_hint(entry, places)}")
            by_class.append(_class_images(entry, places[entry.name], remedy))
        elif entry.suffix.lower() in _ENDINGS:
            raise DataError(f"{entry} lies beside the class folders; its class is not known. {remedy}")
    if not by_class:
        raise DataError(f"{folder} holds no class folders. {remedy}")
    ranked = [(place, file) for files in by_class for place, file in enumerate(files)]
    return [file for _, file in sorted(ranked, key=lambda entry: (entry[0], entry[1].label))]


def read_image(path: Path) -> Image.Image:
    """Return an image as RGB of 8 bits; grey images of 16 bits are scaled.

    Raises:
        DataError: The file cannot be opened or decoded to its end.
    """
    try:
        with Image.open(path) as image:
            return (_eight_bits(image) if image.mode.startswith("I") else image).convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the image {path}: {error}. Copy it again from its source.") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of 16 bits as one of 8; `Image.convert` would cut its values off at 255."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"its grey values are {grey.min()} to {grey.max()}, not 0 to 65535")
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8))


def _class_images(folder: Path, label: int, remedy: str) -> list[ImageFile]:
    files = []
    for path in _visible(folder, remedy):
        if path.suffix.lower() not in _ENDINGS:
            raise DataError(f"{path} is no image ({', '.join(_ENDINGS)}). Remove it, or get the file again.")
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
