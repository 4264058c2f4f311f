"""Reading the "x y z r g b" lines of S3DIS, fast where they are as they should be, line by line where not."""

import io
import logging
import re
from pathlib import Path

import numpy as np

from datamodules.scene import AGAIN
from lgm_bench.errors import DataError

_COLUMNS = ("x", "y", "z", "r", "g", "b")
_SEPARATORS = " \t\r"
_STRAY = {chr(code) for code in (*range(32), *range(127, 256))} - set(_SEPARATORS)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|[-+]?inf", re.ASCII | re.IGNORECASE)
_log = logging.getLogger(__name__)


def read_points(path: Path) -> np.ndarray:
    """Return the lines of a file as (N, 6) float64: x, y, z in metres, red, green, blue in 0..255.

    The official files hold a few stray control characters amid numbers or between them ("185\\x10187"). If the line
    is six numbers without them, or with spaces in their place, it is read so, and that is logged.

    Raises:
        DataError: The file is missing or empty, or a line is not six numbers; it is named.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}. {AGAIN}") from error
    if not content.strip():
        raise DataError(f"{path} is empty. {AGAIN}")
    values = _fast(content)
    return values if values is not None else _by_line(content, path)


def _fast(content: bytes) -> np.ndarray | None:
    """The values of lines with single spaces; None where some line is not so."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        table = csv.read_csv(
            io.BytesIO(content),
            csv.ReadOptions(column_names=_COLUMNS, use_threads=False),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(_COLUMNS, pa.float64()), null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    return np.stack([column.to_numpy() for column in table.columns], 1)


def _by_line(content: bytes, path: Path) -> np.ndarray:
    rows = []
    for number, line in enumerate(content.decode("latin-1").split("\n"), 1):
        line = line.strip(_SEPARATORS)
        if not line:
            continue
        values = _numbers(line) or _without_stray(line)
        if values is None:
            raise DataError(f"{path}, line {number}: {line[:80]!r} is not 'x y z r g b'. {AGAIN}")
        if not _STRAY.isdisjoint(line):
            _log.warning("%s, line %d: read %r as %s", path, number, line, values)
        rows.append(values)
    return np.array(rows)


def _without_stray(line: str) -> list[float] | None:
    """The numbers of a line with stray characters dropped; if these are not six, with spaces in their place."""
    kept = "".join(character for character in line if character not in _STRAY)
    spaced = "".join(" " if character in _STRAY else character for character in line)
    return _numbers(kept) or _numbers(spaced)


def _numbers(line: str) -> list[float] | None:
    words = [word for word in re.split(f"[{_SEPARATORS}]", line) if word]
    if len(words) != len(_COLUMNS) or not all(map(_NUMBER.fullmatch, words)):
        return None
    return [float(word) for word in words]
