"""The sha256 of samples: of their arrays, of their files, or of the batches that contain them."""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from datamodules.batch import PointBatch
from datamodules.location import regular_file
from lgm_bench.errors import DataError
from lgm_bench.files import cache_folder, write_whole

if TYPE_CHECKING:
    from datamodules.samples_datamodule import SamplesDataModule

_log = logging.getLogger(__name__)

SETTLED_NS = 2_000_000_000
"""Age in nanoseconds from which a file's times are trusted; file system clocks can be this coarse."""


def arrays_sha256(*arrays: Tensor) -> str:
    """Return the sha256 of the types, shapes and values of tensors.

    >>> arrays_sha256(torch.zeros(2)) == arrays_sha256(torch.zeros(2))
    True
    >>> arrays_sha256(torch.zeros(2)) == arrays_sha256(torch.zeros(2, dtype=torch.int32))
    False
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {tuple(array.shape)}\n".encode())
        digest.update(array.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def files_sha256(root: Path, samples: Iterable[tuple[object, Sequence[Path]]]) -> str:
    """Return the sha256 of samples that are stored in files.

    Args:
        root: The data set's folder.
        samples: For each sample, a value that describes it, such as id and label, and its files. The names of the files
            are hashed too, but not those of their folders.

    Raises:
        DataError: A file cannot be read.
    """
    listed = [(about, list(paths)) for about, paths in samples]
    hashes = file_hashes(root)
    of_file = {path: hashes.of(path) for path in dict.fromkeys(path for _, paths in listed for path in paths)}
    hashes.keep()
    digest = hashlib.sha256()
    for about, paths in listed:
        digest.update(f"{about!r} {[(path.name, of_file[path]) for path in paths]}\n".encode())
    return digest.hexdigest()


def batches_sha256(data: "SamplesDataModule") -> str:
    """Return the sha256 of all samples that `data.test_dataloader` yields; it does not depend on the batch size.

    Raises:
        DataError: A sample cannot be read, or the loader does not yield it.
    """
    from datamodules.samples_datamodule import Batches  # which imports this module

    before = data.done, data.share
    data.done, data.share = set(), (0, 1)
    try:
        sums = {sample_id: sha256 for batch in Batches(data) for sample_id, sha256 in _sample_sums(batch)}
    finally:
        data.done, data.share = before
    ids = data.sample_ids()
    absent = [sample_id for sample_id in ids if sample_id not in sums]
    if absent:
        raise DataError(
            f"the test_dataloader of {type(data).__name__} does not yield {len(absent)} of its {len(ids)} samples, "
            f"such as {absent[0]!r}; it must yield every index of test_sampler()"
        )
    return hashlib.sha256("\n".join(f"{sample_id} {sums[sample_id]}" for sample_id in ids).encode()).hexdigest()


def _sample_sums(batch: Any) -> Iterator[tuple[str, str]]:
    """Yield the id and the sha256 of each sample of a batch."""
    if isinstance(batch, PointBatch):
        cloud, of_points = batch.cloud, len(batch.labels) == len(batch.cloud.points)
        for number, sample_id in enumerate(batch.ids):
            own = cloud.scene == number
            labels = batch.labels[own if of_points else number]
            yield sample_id, arrays_sha256(cloud.points[own], cloud.features[own], labels)
    else:
        tensors = [field for field in batch if isinstance(field, Tensor)]
        for number, sample_id in enumerate(batch.ids):
            yield sample_id, arrays_sha256(*(tensor[number] for tensor in tensors))


class FileHashes:
    """The sha256 of files below a folder, stored in the cache folder so that an unchanged file is read only once.

    A file counts as unchanged while its size, times and inode stay the same. A file that changed within the last two
    seconds is read again, because a further change may not have altered its times.

    Args:
        root: The folder.
        kept: The file that stores them.
    """

    def __init__(self, root: Path, kept: Path) -> None:
        self.root, self.kept = root, kept
        self._known: dict[str, list[Any]] = {}  # state and sha256 of each file, the latter last
        self._recent: dict[str, list[Any]] = {}
        self._new = False
        try:
            content = json.loads(kept.read_bytes())
            self._known = {name: [*map(int, state), str(sha256)] for name, (*state, sha256) in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            pass  # the file does not exist yet, or is damaged

    def of(self, path: Path) -> str:
        """Return the sha256 of a file.

        Raises:
            DataError: The file cannot be read.
        """
        try:
            before = _state(path)
            *state, known = self._known.get(str(path), [None])
            if state == before:
                return str(known)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        settled = time.time_ns() - max(before[1:3]) > SETTLED_NS
        (self._known if settled else self._recent)[str(path)] = [*before, sha256]
        self._new |= settled
        return sha256

    def known(self, path: Path) -> str | None:
        """Return a file's sha256 from when it was last read; None if it was not read or seems to have changed since.

        Raises:
            OSError: There is no such file.
        """
        now = _state(path)
        entries = (entries.get(str(path), [None]) for entries in (self._recent, self._known))
        return next((sha256 for *state, sha256 in entries if state == now), None)

    def keep(self) -> None:
        """Store the sums for the next process; does nothing if the cache folder cannot be written."""
        if not self._new:
            return
        try:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.kept, json.dumps(self._known).encode())
            self._new = False
        except OSError as error:
            _log.info("cannot write %s: %s; files will be hashed again", self.kept, error)


def file_hashes(root: Path) -> FileHashes:
    """Return the hashes of the files below a folder; one object per folder and process."""
    root = root.absolute()
    name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    return _hashes(root, cache_folder("contents") / f"{name}.json")


_hashes = cache(FileHashes)


def _state(path: Path) -> list[int]:
    state = regular_file(path).stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
