"""One sample's arrays in an .npz file, which appears whole or not at all."""

import io
import zlib
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote
from zipfile import BadZipFile

import numpy as np
import torch

from lgm_bench.errors import ResultError
from lgm_bench.files import write_whole

Sample = TypeVar("Sample", bound=NamedTuple)

_DAMAGED = (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, BadZipFile, zlib.error)


def sample_path(folder: Path, sample_id: str) -> Path:
    """Return where a sample's .npz lies.

    >>> sample_path(Path("clouds"), "ply_data_test0/00012").name
    'ply_data_test0%2F00012.npz'
    """
    return folder / f"{quote(sample_id, safe='')}.npz"


def write_sample(folder: Path, sample: NamedTuple) -> None:
    """Write a sample, its id and arrays of its fields' names, into a folder, which exists.

    The same sample gives the same bytes.

    Args:
        folder: Where to.
        sample: The id (str), then tensors.

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


def holds_sample(path: Path, kind: type[NamedTuple], sample_id: str) -> bool:
    """Return whether a file is a whole .npz of this sample with all fields of its kind, without reading them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return set(kind._fields) <= set(file.files) and str(file["id"]) == sample_id
    except _DAMAGED:
        return False


def read_sample(path: Path, kind: type[Sample], called: str) -> Sample:
    """Return the sample of this kind that was written.

    Args:
        path: The file.
        kind: What it should be.
        called: The same in words, for the error.

    Raises:
        ResultError: The file is missing, damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [torch.from_numpy(np.asarray(file[name])) for name in kind._fields[1:]]
            return kind(str(file["id"]), *arrays)
    except _DAMAGED as error:
        raise ResultError(f"{path} is no {called} ({error}); delete it and make it again") from error
