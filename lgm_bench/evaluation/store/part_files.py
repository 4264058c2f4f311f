"""Parquet files of rows: a batch's, or a whole cell's, with the cell that they belong to written inside."""

import functools
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lgm_bench.errors import LgmBenchError
from lgm_bench.evaluation.store.provenance import Peak
from lgm_bench.evaluation.store.writing import content_of
from lgm_bench.tasks.base import task_named, task_of

_KEY = b"lgm-bench"
NO_PEAK = Peak()


class UnusableError(Exception):
    """A file that is damaged or belongs to something else.

    Args:
        path: The file.
        reason: What is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path


class ContradictionError(UnusableError):
    """A record that says something else than its rows, or what cannot be."""


class About(NamedTuple):
    """What it took to make rows.

    Attributes:
        seconds: Time.
        devices: What computed them.
        peak: Memory.
        commits: Of the source trees that ran; None for one without git.
    """

    seconds: float
    devices: tuple[str, ...]
    peak: Peak = NO_PEAK
    commits: tuple[str | None, ...] = ()

    @property
    def commit(self) -> str | None:
        """The commits in a text; None if one of them is not known."""
        known = [commit for commit in self.commits if commit]
        return "; ".join(known) if known and len(known) == len(self.commits) else None


@dataclass(frozen=True)
class Part:
    """A file of rows.

    Attributes:
        path: The file.
        rows: Its rows, with the schema of their task.
        about: What it took to make them.
    """

    path: Path
    rows: pa.Table
    about: About


def together(parts: Sequence[Part]) -> About:
    """Return what it took to make several parts: their time, the most memory, and whatever computed one of them."""
    abouts = [part.about for part in parts]
    return About(
        seconds=sum(about.seconds for about in abouts),
        devices=tuple(sorted({device for about in abouts for device in about.devices})),
        peak=functools.reduce(Peak.larger, (about.peak for about in abouts), NO_PEAK),
        commits=tuple(sorted({commit for about in abouts for commit in about.commits}, key=str)),
    )


def encode(rows: pa.Table, fingerprint: str, about: About) -> bytes:
    """Return rows as the bytes of a Parquet file that carries checksums and says its task and its cell."""
    buffer = io.BytesIO()
    content = {"fingerprint": fingerprint, "task": task_of(rows).name, **about._asdict()}
    table = rows.replace_schema_metadata({_KEY: json.dumps(content).encode()})
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def read_part(path: Path, fingerprint: str, ids: Set[str] | None) -> Part:
    """Return a file's rows.

    Args:
        path: The file.
        fingerprint: The cell that it has to belong to.
        ids: The cell's sample ids; None where they are not at hand.

    Raises:
        UnusableError: It is not there, damaged, belongs to another cell, or its rows are not complete.
        ResultError: It may not be read.
    """
    stored = content_of(path)
    if stored is None:
        raise UnusableError(path, "it is not there")
    try:
        table = pq.ParquetFile(pa.BufferReader(stored), page_checksum_verification=True).read()
        content = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UnusableError(path, f"it is damaged or no file of rows ({error})") from error
    if content.get("fingerprint") != fingerprint:
        raise UnusableError(path, f"it belongs to another cell ({content.get('fingerprint', 'it does not say which')})")
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
        raise UnusableError(path, f"it is damaged: it does not say what it took ({error!r})") from error
