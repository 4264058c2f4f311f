"""Record the rows of finished cells as those that later code is compared with.

`python tests/guard/record.py RESULTS_FOLDER...` takes results folders that are named for their suites. So everything is
recorded anew with

    python tests/guard/cells.py /tmp/guard
    lgm-bench run --suite mini --out results/mini
    python tests/guard/record.py /tmp/guard/* results/mini
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cells import rows_of

RECORDED = Path(__file__).with_name("rows.parquet")
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("id", pa.string()),
        ("target", pa.int16()),
        ("clean_prediction", pa.int16()),
        ("adversarial_prediction", pa.int16()),
        ("perturbed", pa.bool_()),
        ("attacked", pa.bool_()),
        ("success", pa.bool_()),
        ("correct", pa.bool_()),
        ("distance", pa.float32()),
        ("clean_loss", pa.float32()),
        ("adversarial_loss", pa.float32()),
        ("on_before", pa.list_(pa.int32())),
        ("on_to_off", pa.list_(pa.int32())),
        ("off_to_on", pa.list_(pa.int32())),
        ("history", pa.list_(pa.float32())),
        ("iterate", pa.int16()),
        ("voxels", pa.float32()),
        ("gflops", pa.float32()),
        ("clean_miou", pa.float32()),
        ("miou", pa.float32()),
        ("confusion", pa.list_(pa.int32())),
    ]
)
"""What is kept of a row of an image, shape or scene; what it does not have is null."""
COUNTING_DIGITS = 16
"""Binary digits that are kept of a floating point number: enough for the comparison, and half the file."""


def condensed(key: str, rows: pa.Table) -> pa.Table:
    """Return what is recorded of a cell's rows."""
    columns = {"key": pa.array([key] * len(rows), pa.string())}
    for field in SCHEMA:
        if field.name in rows.column_names:
            columns[field.name] = rows.column(field.name).cast(field.type)
        elif field.name != "key":
            columns[field.name] = pa.nulls(len(rows), field.type)
        if field.type == pa.float32():
            columns[field.name] = _shortened(columns[field.name])
    return pa.table(columns, schema=SCHEMA)


def condensed_folders(folders: Sequence[Path]) -> dict[str, pa.Table]:
    """Return what is recorded of all cells of some results folders, by key.

    Raises:
        ValueError: Two cells have the same key.
    """
    found: dict[str, pa.Table] = {}
    for folder in folders:
        for key, rows in rows_of(folder):
            if key in found:
                raise ValueError(f"two cells are called {key!r}; give one of them a suite of its own")
            found[key] = condensed(key, rows)
    return found


def read_recorded() -> dict[str, pa.Table]:
    """Return the recorded rows by key."""
    table = pq.read_table(RECORDED, schema=SCHEMA)
    keys = table.column("key").to_numpy(zero_copy_only=False)
    starts = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist(), len(keys)]
    return {str(keys[start]): table.slice(start, end - start) for start, end in pairwise(starts)}


def write(tables: dict[str, pa.Table]) -> None:
    """Write rows as the recorded ones."""
    table = pa.concat_tables(tables[key] for key in sorted(tables))
    floats = [field.name for field in SCHEMA if field.type == pa.float32()]
    others = [field.name for field in SCHEMA if field.type != pa.float32()]
    pq.write_table(
        table,
        RECORDED,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in others if not pa.types.is_list(SCHEMA.field(name).type)],
        use_byte_stream_split=floats,
        write_statistics=False,
    )


def _shortened(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return floating point numbers rounded to `COUNTING_DIGITS`."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    mantissa, exponent = np.frexp(array.fill_null(np.nan).to_numpy(zero_copy_only=False).astype(np.float64))
    values = np.ldexp(np.round(mantissa * 2**COUNTING_DIGITS) / 2**COUNTING_DIGITS, exponent)
    return pa.array(values.astype(np.float32), pa.float32(), mask=array.is_null().to_numpy(zero_copy_only=False))


if __name__ == "__main__":
    recorded = condensed_folders([Path(argument) for argument in sys.argv[1:]])
    write(recorded)
    n_rows = sum(len(table) for table in recorded.values())
    print(f"recorded {n_rows} rows of {len(recorded)} cells, {RECORDED.stat().st_size} bytes")  # noqa: T201
