"""Reading the "x y z r g b" lines of S3DIS, fast where they are as they should be, line by line where not."""

import io
import logging
import re
from pathlib import Path

import numpy as np

from datamodules.scene import AGAIN
from lgm_bench.errors import DataError

_COLUMNS = ("x", "y", "z", "r", "g", "b")
_STRAY = re.compile(rb"[^ -~\t\r\n]")
_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|[-+]?inf", re.IGNORECASE)
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
    if values is None:
        content = _repaired(content, path)
        values = _fast(content)
    if values is None:
        content = _spaced(content)
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


def _repaired(content: bytes, path: Path) -> bytes:
    """The same lines, without stray characters where six numbers are left."""
    pieces, done = [], 0
    for found in _STRAY.finditer(content):
        if found.start() < done:
            continue  # in a line that was repaired already
        start = content.rfind(b"\n", 0, found.start()) + 1
        end = content.find(b"\n", start) % (len(content) + 1)  # -1: the last line
        line = content[start:end]
        repaired = next((text for text in (_STRAY.sub(b"", line), _STRAY.sub(b" ", line)) if _numbers(text)), None)
        if repaired is not None:
            number = content.count(b"\n", 0, start) + 1
            _log.warning("%s, line %d: read %r as %s", path, number, line.decode("latin-1"), _numbers(repaired))
            pieces += [content[done:start], repaired]
            done = end
    return b"".join([*pieces, content[done:]])


def _spaced(content: bytes) -> bytes:
    """The same lines with single spaces, and none at their ends."""
    content = re.sub(rb"[ \t\r]{2,}|[\t\r]", b" ", content)
    return re.sub(rb"^ | $", b"", content, flags=re.MULTILINE)


def _by_line(content: bytes, path: Path) -> np.ndarray:
    rows = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line:
            continue
        values = _numbers(line)
        if values is None:
            raise DataError(f"{path}, line {number}: {line[:80].decode('latin-1')!r} is not 'x y z r g b'. {AGAIN}")
        rows.append(values)
    return np.array(rows)


def _numbers(line: bytes) -> list[float] | None:
    words = [word for word in re.split(rb"[ \t\r]", line) if word]
    if len(words) != len(_COLUMNS) or not all(map(_NUMBER.fullmatch, words)):
        return None
    return [float(word) for word in words]
