"""The results folder: a folder per cell, with parts of its rows while it runs, and its record once it is complete.

All functions that write raise CannotWriteError if the folder cannot be written.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout
from pydantic import ValidationError

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.files import (
    NO_PEAK,
    About,
    ContradictionError,
    Part,
    UnusableError,
    content_of,
    encode,
    read_part,
    set_aside,
    together,
    writing,
)
from lgm_bench.evaluation.store.provenance import Peak, git_commit
from lgm_bench.evaluation.store.record import CellResult, Preflight
from lgm_bench.evaluation.store.tally import check_record
from lgm_bench.files import UNFINISHED, write_whole

log = logging.getLogger(__name__)

LONGEST = 100
RESULT, ROWS, CHECKS, LOCK, PARTS = "result.json", "rows.parquet", "checks.json", "lock", "parts"


def read_record(path: Path) -> CellResult:
    """Return a finished cell's record, checked against the rows beside it if there are any.

    Raises:
        UnusableError: It is missing, or it or its rows are damaged or of another version.
        ContradictionError: It differs from its rows, or holds an impossible figure.
        ResultError: One of the files cannot be read.
    """
    content = content_of(path)
    if content is None:
        raise UnusableError(path, "it is missing")
    try:
        result = CellResult.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":  # raised by our own check: an impossible figure
            raise ContradictionError(path, first["msg"]) from error
        raise UnusableError(path, f"it is damaged or of another version ({first['msg']})") from error
    if path.with_name(ROWS).exists():
        rows = read_part(path.with_name(ROWS), result.fingerprint, None).rows
        try:
            check_record(result, rows)
        except ResultError as error:
            raise ContradictionError(path, str(error)) from error
    return result


class CellStore:
    """The folder of one cell.

    While a cell runs: `parts/*.parquet`, the rows of its finished batches, and `checks.json`. When it is complete:
    `rows.parquet`, all rows in order, and `result.json`. Every file appears whole or not at all. Files with another
    fingerprint belong to another cell and are not used.
    """

    def __init__(self, out: Path, title: str, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.folder = out / f"{folder_name(title)}-{fingerprint}"

    def result(self) -> CellResult | None:
        """Return the record of the finished cell, or None; a file that is not this cell's record is set aside.

        Without its rows, or with damaged ones, a record does not count, since its numbers cannot be checked.

        Raises:
            ResultError: The record or its rows cannot be read.
        """
        path = self.folder / RESULT
        if not path.exists():
            return None
        try:
            result = read_record(path)
            if result.fingerprint != self.fingerprint:
                raise UnusableError(path, f"it belongs to another cell, {result.fingerprint}")
        except UnusableError as error:
            set_aside(error.path, str(error))
            return None
        if not (self.folder / ROWS).exists():
            log.warning("%s is not used: there is no %s beside it", path, ROWS)
            return None
        return result

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of this cell until the block is left.

        Raises:
            ResultError: Another run is computing it.
            CannotWriteError: The folder cannot be made.
        """
        with writing(self.folder):
            (self.folder / PARTS).mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK, timeout=0)
            try:
                lock.acquire()
            except Timeout as error:
                raise ResultError(
                    f"another run is at work on {self.folder}; wait for it to end, or choose another results folder "
                    "(--out)"
                ) from error
        try:
            yield
        finally:
            lock.release()

    def parts(self, ids: Sequence[str]) -> list[Part]:
        """Return the rows of finished batches; unusable files (with other ids, for instance) are set aside."""
        with writing(self.folder):
            for left_over in [*self.folder.glob(UNFINISHED), *self.folder.glob(f"*/{UNFINISHED}")]:
                left_over.unlink()
        known, found = frozenset(ids), []
        for path in [self.folder / ROWS, *sorted((self.folder / PARTS).glob("*.parquet"))]:
            if not path.exists():
                continue
            try:
                found.append(read_part(path, self.fingerprint, known))
            except UnusableError as error:
                set_aside(path, str(error))
            if path.name == ROWS and found and known <= set(found[0].rows.column("id").to_pylist()):
                break
        return found

    def add(self, rows: pa.Table, seconds: float, device: str, peak: Peak = NO_PEAK) -> None:
        """Keep the rows of finished batches."""
        self._add(rows, About(seconds, (device,), peak, (git_commit(),)))

    def without_history(self, ids: Sequence[str]) -> set[str]:
        """Return the samples that have rows without a `history`."""
        known, found = frozenset(ids), set()
        for path in [self.folder / ROWS, *(self.folder / PARTS).glob("*.parquet")]:
            with suppress(UnusableError):
                rows = read_part(path, self.fingerprint, known).rows
                found.update(rows.filter(pc.is_null(rows.column("history"))).column("id").to_pylist())
        return found

    def forget(self, parts: Sequence[Part], ids: Set[str]) -> None:
        """Drop the record and the rows of some samples, which will be attacked again."""
        concerned = [part for part in parts if not ids.isdisjoint(part.rows.column("id").to_pylist())]
        if not concerned:
            return
        with writing(self.folder):
            (self.folder / RESULT).unlink(missing_ok=True)
            for part in concerned:
                kept = part.rows.filter(pc.invert(pc.is_in(part.rows.column("id"), pa.array(sorted(ids)))))
                if kept.num_rows:
                    seconds = part.about.seconds * kept.num_rows / part.rows.num_rows
                    self._add(kept, part.about._replace(seconds=seconds))
                part.path.unlink()

    def clear(self) -> None:
        """Delete everything of the cell. Call it while the cell is `locked`."""
        with writing(self.folder):
            for path in self.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
            (self.folder / PARTS).mkdir()

    def checks(self) -> Preflight | None:
        """Return the stored pre-flight checks, or None.

        Raises:
            ResultError: The file cannot be read.
        """
        path = self.folder / CHECKS
        content = content_of(path)
        if content is None:
            return None
        try:
            return Preflight.model_validate_json(content)
        except ValueError as error:  # not JSON, or other values
            set_aside(path, f"it is damaged or of another version ({str(error).splitlines()[0]})")
            return None

    def keep_checks(self, checks: Preflight) -> None:
        """Keep the pre-flight checks."""
        self._write(self.folder / CHECKS, _json(checks.model_dump()))

    def finish(self, result: CellResult, rows: pa.Table, parts: Sequence[Part]) -> None:
        """Write all rows and the record, and delete the parts.

        Raises:
            CannotWriteError: They cannot be written; the parts are kept.
        """
        self._write(self.folder / ROWS, encode(rows, self.fingerprint, together(parts)))
        self._write(self.folder / RESULT, _json(result.model_dump(mode="json")))
        with writing(self.folder / PARTS):
            for path in (self.folder / PARTS).glob("*.parquet"):
                path.unlink()
            if not any((self.folder / PARTS).iterdir()):
                (self.folder / PARTS).rmdir()

    def _add(self, rows: pa.Table, about: About) -> None:
        name = hashlib.sha256("\n".join(rows.column("id").to_pylist()).encode()).hexdigest()[:16]
        self._write(self.folder / PARTS / f"{name}.parquet", encode(rows, self.fingerprint, about))

    def _write(self, path: Path, content: bytes) -> None:
        with writing(path):
            write_whole(path, content)


def folder_name(title: str) -> str:
    """Return the readable part of a folder's name, at most `LONGEST` characters.

    >>> folder_name("package.module:Network-bim-eps8-lgm")
    'package.module_Network-bim-eps8-lgm'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", title)[:LONGEST]


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Return the files that still exist, the newest first: another run may be deleting one."""
    times = []
    for path in paths:
        with suppress(FileNotFoundError):
            times.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(times, reverse=True)]


def ids_sha256(ids: list[str]) -> str:
    """Return the sha256 of sample ids, in order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()
