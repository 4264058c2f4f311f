"""The results folder: one folder a cell, its rows kept part by part while it runs, its record once it is complete."""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout
from pydantic import ValidationError

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.part_files import (
    NO_PEAK,
    About,
    ContradictionError,
    Part,
    UnusableError,
    encode,
    read_part,
    together,
)
from lgm_bench.evaluation.store.provenance import Peak, git_commit
from lgm_bench.evaluation.store.record import CellResult, Preflight
from lgm_bench.evaluation.store.tally import check_record
from lgm_bench.evaluation.store.writing import content_of, set_aside, writing
from lgm_bench.files import UNFINISHED, write_whole

if TYPE_CHECKING:
    from lgm_bench.evaluation.store.samples import KeptSamples

log = logging.getLogger(__name__)

RESULT, ROWS, CHECKS, LOCK, PARTS = "result.json", "rows.parquet", "checks.json", "lock", "parts"


def read_record(path: Path) -> CellResult:
    """Return a finished cell's record, which says what the rows beside it say; where there are none, nobody can tell.

    Raises:
        UnusableError: It is not there, damaged or of another version, or its rows are.
        ContradictionError: It says something else than its rows, or what cannot be.
        ResultError: One of the files may not be read.
    """
    content = content_of(path)
    if content is None:
        raise UnusableError(path, "it is not there")
    try:
        result = CellResult.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":  # of ours: a figure that cannot be
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
    `rows.parquet`, all rows in order, and `result.json`. Every file appears whole or not at all.

    Args:
        out: Results folder.
        title: Readable part of the folder's name.
        fingerprint: What the cell is; files that belong to another cell are not used.

    Attributes:
        folder: Where the cell's files are.
        samples: What is kept of the samples beside their rows.
    """

    def __init__(self, out: Path, title: str, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.folder = out / f"{folder_name(title)}-{fingerprint}"

    @cached_property
    def samples(self) -> "KeptSamples":
        """What is kept of the samples beside their rows."""
        from lgm_bench.evaluation.store.samples import KeptSamples  # brings torch, which reading rows does not need

        return KeptSamples(self.folder)

    def result(self) -> CellResult | None:
        """Return the record of the finished cell, or None; a file that is no record of this cell is set aside.

        Without its rows, or with damaged ones, a record does not count: nobody could check its numbers.

        Raises:
            ResultError: The record or its rows may not be read.
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
            ResultError: Another run is at work on it.
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
        """Return what finished batches have left; unusable files are named in the log and set aside.

        Args:
            ids: The cell's sample ids; rows of any others are not used.
        """
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
        """Keep the rows of a finished batch.

        Raises:
            CannotWriteError: They cannot be written.
        """
        self._add(rows, About(seconds, (device,), peak, (git_commit(),)))

    def without_history(self, ids: Sequence[str]) -> set[str]:
        """Return the samples that have rows, but some without what became of them iteration by iteration."""
        known, found = frozenset(ids), set()
        for path in [self.folder / ROWS, *(self.folder / PARTS).glob("*.parquet")]:
            with suppress(UnusableError):
                rows = read_part(path, self.fingerprint, known).rows
                found.update(rows.filter(pc.is_null(rows.column("history"))).column("id").to_pylist())
        return found

    def forget(self, parts: Sequence[Part], ids: Set[str]) -> None:
        """Drop the rows of some samples, which are going to be attacked again, and with them the record.

        Raises:
            CannotWriteError: The rest cannot be written; nothing is lost.
        """
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
        """Drop all that was computed, so that the cell is computed anew. Call it while the cell is `locked`.

        Raises:
            CannotWriteError: It cannot be removed.
        """
        with writing(self.folder):
            for path in self.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
            (self.folder / PARTS).mkdir()

    def checks(self) -> Preflight | None:
        """Return the pre-flight checks that were kept, or None.

        Raises:
            ResultError: They may not be read.
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
        """Keep the pre-flight checks.

        Raises:
            CannotWriteError: They cannot be written.
        """
        self._write(self.folder / CHECKS, _json(checks.model_dump()))

    def finish(self, result: CellResult, rows: pa.Table, parts: Sequence[Part]) -> None:
        """Keep all rows and the record, and drop the parts that they were put together from.

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
    """Return the readable part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", title)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are still there, the latest first: another run may be taking one away just now."""
    times = []
    for path in paths:
        with suppress(FileNotFoundError):
            times.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(times, reverse=True)]


def ids_sha256(ids: list[str]) -> str:
    """Return the sha256 of sample ids, in order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()
