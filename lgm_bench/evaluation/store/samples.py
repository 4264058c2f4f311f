"""What a cell's folder keeps of samples beside their rows: an .npz each, whose arrays are the fields of its kind."""

import io
import logging
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote
from zipfile import BadZipFile

import numpy as np
import torch

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.ply import coloured_ply
from lgm_bench.evaluation.store.writing import set_aside, unreadable, writing
from lgm_bench.files import write_whole
from lgm_bench.tasks.samples import ExampleCloud, SavedCloud, SavedImage

log = logging.getLogger(__name__)

N_EXAMPLES = 2
"""Of how many samples examples are kept, the first ones in the data set's order."""
EXAMPLES, CLOUDS, IMAGES = "examples", "clouds", "images"

_DAMAGED = (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, BadZipFile, zlib.error)


Sample = SavedImage | SavedCloud | ExampleCloud
Kind = TypeVar("Kind", SavedImage, SavedCloud, ExampleCloud)


class KeptSamples:
    """Files of single samples: the first ones of a cell in `examples/`; in `clouds/` or `images/` all, where asked for.

    Args:
        folder: The cell's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep_example(self, sample: SavedImage | ExampleCloud) -> None:
        """Keep an example; call it before the rows of its batch are added.

        Raises:
            CannotWriteError: It cannot be written.
        """
        with self._subfolder(EXAMPLES) as folder:
            write_sample(folder, sample)

    def keep_adversarial(self, sample: SavedImage | SavedCloud, class_names: Sequence[str] = ()) -> None:
        """Keep an attacked image or point cloud; call it before the rows of its batch are added.

        Args:
            sample: Of a cloud there will be a coloured .ply too, to look at.
            class_names: For the comments of the .ply that say which colour stands for which class.

        Raises:
            CannotWriteError: It cannot be written.
        """
        with self._subfolder(CLOUDS if isinstance(sample, SavedCloud) else IMAGES) as folder:
            if isinstance(sample, SavedCloud):
                picture = coloured_ply(sample.id, sample.points, sample.prediction, sample.labels, class_names)
                write_whole(sample_path(folder, sample.id).with_suffix(".ply"), picture)
            write_sample(folder, sample)

    def without_adversarial(self, ids: Sequence[str], kind: type[SavedImage | SavedCloud]) -> set[str]:
        """Return the samples of which nothing attacked is kept; files that are no such thing are set aside.

        Args:
            ids: The samples.
            kind: What is kept of them.

        Raises:
            ResultError: A file may not be read.
        """
        folder = CLOUDS if issubclass(kind, SavedCloud) else IMAGES
        missing = set()
        for sample_id in ids:
            path = sample_path(self.folder / folder, sample_id)
            if path.exists() and not _holds(path, kind, sample_id):
                set_aside(path, f"it is damaged or no {kind.__name__} of this sample")
            if not path.exists():
                missing.add(sample_id)
        return missing

    @contextmanager
    def _subfolder(self, name: str) -> Iterator[Path]:
        folder = self.folder / name
        with writing(folder):
            folder.mkdir(exist_ok=True)
            yield folder


def sample_path(folder: Path, sample_id: str) -> Path:
    """Return where a sample's .npz lies.

    >>> sample_path(Path("clouds"), "ply_data_test0/00012").name
    'ply_data_test0%2F00012.npz'
    """
    return folder / f"{quote(sample_id, safe='')}.npz"


def write_sample(folder: Path, sample: Sample) -> None:
    """Write a sample into a folder, which exists, whole or not at all. The same sample gives the same bytes.

    Raises:
        OSError: It cannot be written.
    """
    stream = io.BytesIO()
    sample_id, *tensors = sample
    arrays: dict[str, Any] = {
        name: value.detach().cpu().numpy() for name, value in zip(sample._fields[1:], tensors, strict=True)
    }
    np.savez_compressed(stream, id=np.array(sample_id), **arrays)
    write_whole(sample_path(folder, sample_id), stream.getvalue())


def read_sample(path: Path, kind: type[Kind]) -> Kind:
    """Return the sample of this kind that was written.

    Raises:
        ResultError: The file is missing, damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [torch.from_numpy(np.asarray(file[name])) for name in kind._fields[1:]]
            return kind(str(file["id"]), *arrays)
    except _DAMAGED as error:
        raise ResultError(f"{path} is no {kind.__name__} ({error}); delete it and make it again") from error


def read_examples(folder: Path) -> list[SavedImage | ExampleCloud]:
    """Return the examples of a cell, ordered by the names of their files; those that are damaged are left out.

    Args:
        folder: The cell's folder.
    """
    found: list[SavedImage | ExampleCloud] = []
    example: SavedImage | ExampleCloud
    for path in sorted((folder / EXAMPLES).glob("*.npz")):
        is_cloud = _fields(path) == set(ExampleCloud._fields)
        try:
            example = read_sample(path, ExampleCloud) if is_cloud else read_sample(path, SavedImage)
        except ResultError as error:
            log.warning("an example is left out: %s", error)
            continue
        if sample_path(path.parent, example.id) == path:
            found.append(example)
        else:
            log.warning("an example is left out: %s is of another sample, %s", path, example.id)
    return found


def _fields(path: Path) -> set[str]:
    """Return the names of the arrays in a file, without reading them; nothing if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return set(file.files)
    except _DAMAGED:
        return set()


def _holds(path: Path, kind: type[NamedTuple], sample_id: str) -> bool:
    """Return whether a file is a whole .npz of this sample with the fields of its kind, without reading them all.

    Raises:
        ResultError: It may not be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return set(kind._fields) <= set(file.files) and str(file["id"]) == sample_id
    except PermissionError as error:
        raise unreadable(path, error) from error
    except _DAMAGED:
        return False
