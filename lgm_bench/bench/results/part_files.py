"""Parquet files of rows: a batch's, or a whole cell's, with the cell that they belong to written inside."""

import io
import json
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lgm_bench.bench.results.provenance import Peak
from lgm_bench.bench.results.rows import HISTORY, SCHEMA
from lgm_bench.bench.results.scene_rows import SCENE_SCHEMA

_KEY = b"lgm-bench"
NO_PEAK = Peak()


class UnusableError(Exception):
    """A file of rows that is damaged or belongs to something else; the text says what is wrong."""


@dataclass(frozen=True)
class Part:
    """A file of rows.

    Attributes:
        path: The file.
        rows: Its rows, see `rows.SCHEMA` and `scene_rows.SCENE_SCHEMA`.
        seconds: Time that they took.
        devices: What computed them.
        peak: Memory that it took.
    """

    path: Path
    rows: pa.Table
    seconds: float
    devices: tuple[str, ...]
    peak: Peak = NO_PEAK


def encode(rows: pa.Table, fingerprint: str, seconds: float, devices: Sequence[str], peak: Peak = NO_PEAK) -> bytes:
    """Return rows as the bytes of a Parquet file that carries checksums and says which cell it belongs to."""
    about = {"fingerprint": fingerprint, "seconds": seconds, "devices": list(devices), "peak": list(peak)}
    buffer = io.BytesIO()
    table = rows.replace_schema_metadata({_KEY: json.dumps(about).encode()})
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def read_part(path: Path, fingerprint: str, ids: Set[str] | None) -> Part:
    """Return a file's rows.

    Args:
        path: The file.
        fingerprint: The cell that it has to belong to.
        ids: The cell's sample ids; None where they are not at hand.

    Raises:
        UnusableError: It cannot be read, belongs to another cell, or its rows are not complete.
    """
    try:
        table = pq.ParquetFile(io.BytesIO(path.read_bytes()), page_checksum_verification=True).read()
        about = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UnusableError(f"it is damaged or no file of rows ({error})") from error
    if about.get("fingerprint") != fingerprint:
        raise UnusableError(f"it belongs to another cell ({about.get('fingerprint', 'it does not say which')})")
    if HISTORY.name not in table.column_names:  # nobody looked
        table = table.append_column(HISTORY, pa.nulls(table.num_rows, HISTORY.type))
    schema = next((schema for schema in (SCHEMA, SCENE_SCHEMA) if table.schema.equals(schema)), None)
    if schema is None:
        raise UnusableError("it has other columns than the rows of this version")
    counts = Counter(table.column("id").to_pylist())
    foreign = sorted(sample_id for sample_id in counts if ids is not None and sample_id not in ids)
    if foreign:
        raise UnusableError(f"{len(foreign)} of its samples are not in the data set, such as {foreign[0]!r}")
    if len(set(counts.values())) > 1:
        raise UnusableError("its samples do not all have the same number of rows")
    return Part(
        path, table.cast(schema), float(about["seconds"]), tuple(about["devices"]), Peak(*about.get("peak", NO_PEAK))
    )
