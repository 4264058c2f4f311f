"""One sample's arrays in an .npz file, which appears whole or not at all."""

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from lgm_bench.errors import ResultError
from lgm_bench.files import write_whole

_DAMAGED = (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, BadZipFile, zlib.error)


def sample_path(folder: Path, sample_id: str) -> Path:
    """Return where a sample's .npz lies.

    >>> sample_path(Path("clouds"), "ply_data_test0/00012").name
    'ply_data_test0%2F00012.npz'
    """
    return folder / f"{quote(sample_id, safe='')}.npz"


def write_arrays(folder: Path, sample_id: str, tensors: Mapping[str, Tensor]) -> None:
    """Write a sample's arrays, and its id among them, into a folder, which exists; the same ones give the same bytes.

    Raises:
        OSError: They cannot be written.
    """
    stream = io.BytesIO()
    arrays: dict[str, Any] = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    np.savez_compressed(stream, id=np.array(sample_id), **arrays)
    write_whole(sample_path(folder, sample_id), stream.getvalue())


def holds_arrays(path: Path, names: Sequence[str], sample_id: str) -> bool:
    """Return whether a file is a whole .npz of a sample with arrays of these names, without reading them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {"id", *names} <= set(file.files) and str(file["id"]) == sample_id
    except _DAMAGED:
        return False


def read_arrays(path: Path, names: Sequence[str], kind: str) -> tuple[str, dict[str, Tensor]]:
    """Return the id and the arrays of these names.

    Args:
        path: The file.
        names: The arrays.
        kind: What it should be, for the error.

    Raises:
        ResultError: The file is missing, damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file["id"]), {name: torch.from_numpy(np.asarray(file[name])) for name in names}
    except _DAMAGED as error:
        raise ResultError(f"{path} is no {kind} ({error}); delete it and make it again") from error
