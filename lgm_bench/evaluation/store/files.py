"""Files of a results folder: rows in Parquet with the fingerprint of their cell, and errors about files."""

import functools
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lgm_bench.errors import LgmBenchError, ResultError
from lgm_bench.evaluation.store.provenance import Peak
from lgm_bench.files import is_named_pipe
from lgm_bench.tasks.base import task_named, task_of

log = logging.getLogger(__name__)

_KEY = b"lgm-bench"
NO_PEAK = Peak()
UNUSABLE = ".unusable"


class CannotWriteError(ResultError):
    """The results folder cannot be written: the disk is full, or permissions are missing."""


class UnusableError(Exception):
    """A file is damaged or belongs to something else; the text is the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path


class ContradictionError(UnusableError):
    """A record differs from its rows, or holds an impossible figure."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError in the block into a CannotWriteError that names `path`."""
    try:
        yield
    except OSError as error:
        raise CannotWriteError(
            f"cannot write {path}: {error.strerror or error}; finished batches are kept: free some space or "
            "correct the permissions and run again, or choose another results folder (--out)"
        ) from error


def content_of(path: Path) -> bytes | None:
    """Return the content of a file; None if there is no file.

    Raises:
        ResultError: The file exists but cannot be read (so nothing is computed again), or it is a named pipe.
    """
    if is_named_pipe(path):
        raise ResultError(f"{path} is a named pipe; delete it")
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> ResultError:
    """Return the error for a file that cannot be read."""
    return ResultError(f"cannot read {path}: {error.strerror or error}; correct its permissions")


def set_aside(path: Path, reason: str) -> None:
    """Rename a file that cannot be used, and log the reason.

    Raises:
        CannotWriteError: The file cannot be renamed.
    """
    log.warning("%s is not used: %s; it is now called %s", path, reason, path.name + UNUSABLE)
    with writing(path):
        path.replace(path.with_name(path.name + UNUSABLE))


class About(NamedTuple):
    """How rows were computed: seconds, devices, peak memory, and commits of the source tree (None without git)."""

    seconds: float
    devices: tuple[str, ...]
    peak: Peak = NO_PEAK
    commits: tuple[str | None, ...] = ()

    @property
    def commit(self) -> str | None:
        """The commits as text; None if one of them is not known."""
        known = [commit for commit in self.commits if commit]
        return "; ".join(known) if known and len(known) == len(self.commits) else None


@dataclass(frozen=True)
class Part:
    """A file of rows: its path, its rows with the schema of their task, and how they were computed."""

    path: Path
    rows: pa.Table
    about: About


def together(parts: Sequence[Part]) -> About:
    """Return how several parts were computed: their time summed, the most memory, all devices and commits."""
    abouts = [part.about for part in parts]
    return About(
        seconds=sum(about.seconds for about in abouts),
        devices=tuple(sorted({device for about in abouts for device in about.devices})),
        peak=functools.reduce(Peak.larger, (about.peak for about in abouts), NO_PEAK),
        commits=tuple(sorted({commit for about in abouts for commit in about.commits}, key=str)),
    )


def encode(rows: pa.Table, fingerprint: str, about: About) -> bytes:
    """Return rows as the bytes of a Parquet file with checksums, the task, and the fingerprint of the cell."""
    buffer = io.BytesIO()
    content = {"fingerprint": fingerprint, "task": task_of(rows).name, **about._asdict()}
    table = rows.replace_schema_metadata({_KEY: json.dumps(content).encode()})
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def read_part(path: Path, fingerprint: str, ids: Set[str] | None) -> Part:
    """Return a file's rows. They must belong to the cell with this fingerprint and only to samples in `ids`.

    Raises:
        UnusableError: The file is missing, damaged or of another cell, or its rows are not complete.
        ResultError: The file cannot be read.
    """
    stored = content_of(path)
    if stored is None:
        raise UnusableError(path, "it is missing")
    try:
        file = pq.ParquetFile(pa.BufferReader(stored), page_checksum_verification=True)
        table = file.read(use_threads=False)  # a thread of Arrow that outlives Python sometimes aborts its exit
        content = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UnusableError(path, f"it is damaged or no file of rows ({error})") from error
    if content.get("fingerprint") != fingerprint:
        raise UnusableError(path, f"it belongs to another cell ({content.get('fingerprint', 'no fingerprint')})")
    try:
        schema = task_named(str(content.get("task"))).schema()
    except LgmBenchError as error:
        raise UnusableError(path, f"its rows are of another version ({error})") from error
    if not table.schema.equals(schema):
        raise UnusableError(path, "it has other columns than the rows of this version")
    counts = Counter(table.column("id").to_pylist())
    foreign = sorted(sample_id for sample_id in counts if ids is not None and sample_id not in ids)
    if foreign:
        raise UnusableError(path, f"{len(foreign)} of its samples are not in the data set, such as {foreign[0]!r}")
    if len(set(counts.values())) > 1:
        raise UnusableError(path, "its samples do not all have the same number of rows")
    return Part(path, table.cast(schema), _about(path, content))


def _about(path: Path, content: Mapping[str, Any]) -> About:
    try:
        peak, commits = Peak(*content.get("peak", NO_PEAK)), tuple(content.get("commits", ()))
        return About(float(content["seconds"]), tuple(content["devices"]), peak, commits)
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableError(
            path, f"it is damaged: its seconds, devices, peak or commits are invalid ({error!r})"
        ) from error
