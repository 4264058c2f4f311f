"""Stores of checkpoints: safetensors files and their registry, written atomically and verified when read.

The package ships one store, `checkpoints/`. Imported and trained checkpoints go to the user's own store:
`$LGM_BENCH_CHECKPOINTS`, else `$XDG_DATA_HOME/lgm-bench/checkpoints`, else `~/.local/share/lgm-bench/checkpoints`.
Entries of the user's store take precedence over the shipped ones.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lgm_bench.errors import CheckpointError
from lgm_bench.files import expanded, is_named_pipe, write_whole
from lgm_bench.resources import resource
from victims.names import victim_names
from victims.registry import (
    REGISTRY_FILE,
    CheckpointEntry,
    StoredSlopes,
    read_registry,
    registry_text,
    with_slopes,
)

LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class CheckpointStore:
    """A folder with safetensors files and their registry.yaml."""

    folder: Path

    def entries(self) -> list[CheckpointEntry]:
        """Return all entries, including those without a file."""
        return read_registry(self.folder / REGISTRY_FILE)

    def ready(self, victim: str) -> CheckpointEntry | None:
        """Return the entry of a victim that has a file, or None."""
        return next((entry for entry in self.entries() if entry.victim == victim and entry.file), None)

    def content(self, entry: CheckpointEntry) -> bytes:
        """Return the content of the entry's file after checking its sha256.

        Raises:
            CheckpointError: The file is missing, unreadable, or not the registered one.
        """
        return verified_bytes(self.folder / str(entry.file), entry.sha256)

    def add(self, entry: CheckpointEntry, content: bytes) -> Path:
        """Write a checkpoint and register it in place of the victim's earlier one; return the file's path.

        Slopes stored for the same weights are kept. A reader sees either the old or the new state, even if this process
        is killed.

        Raises:
            CheckpointError: The store cannot be written (disk full, no permission) or another run has locked it.
        """
        path = self.folder / str(entry.file)
        with self._locked(path):
            entries = self.entries()
            kept = [old for old in entries if old.file is None or old.victim != entry.victim]
            for old in entries:
                if (old.victim, old.sha256) == (entry.victim, entry.sha256):
                    entry = entry.model_copy(update={"slopes": entry.slopes or old.slopes})
            write_whole(path, content)
            self._write([*kept, entry])
        return path

    def add_slopes(self, entry: CheckpointEntry, found: StoredSlopes) -> Path:
        """Add slopes to an entry; return the path of the registry.

        They replace those of an earlier search with the same settings at the same half-widths.

        Raises:
            CheckpointError: As for `add`, or the entry no longer exists.
        """
        path = self.folder / REGISTRY_FILE
        with self._locked(path):
            entries = self.entries()
            place = next((place for place, old in enumerate(entries) if entry.file and old.file == entry.file), None)
            if place is None:
                raise CheckpointError(f"{path} no longer has {entry.file}; import or train it again")
            entries[place] = with_slopes(entries[place], found)
            self._write(entries)
        return path

    def _write(self, entries: list[CheckpointEntry]) -> None:
        write_whole(self.folder / REGISTRY_FILE, registry_text(entries).encode())

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Lock the folder, and turn errors in writing `path` into CheckpointErrors."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock", timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise CheckpointError(
                f"another run has locked {self.folder} for more than {LOCK_SECONDS:.0f} s; wait for it to finish"
            ) from error
        except OSError as error:
            raise CheckpointError(
                f"cannot write {path}: {error.strerror or error}; free some space or choose another folder with "
                "LGM_BENCH_CHECKPOINTS. Nothing was registered"
            ) from error


@dataclass(frozen=True)
class CheckpointStatus:
    """A victim's line in `lgm-bench ls`.

    Attributes:
        name: Victim name.
        ready: Whether `load_victim(name)` finds weights.
        detail: The file in use, or how to get one.
    """

    name: str
    ready: bool
    detail: str


def shipped_store() -> CheckpointStore:
    """Return the store that ships with the package."""
    return CheckpointStore(resource("checkpoints"))


def user_store() -> CheckpointStore:
    """Return the user's own store; its folder need not exist."""
    folder = os.environ.get("LGM_BENCH_CHECKPOINTS")
    if folder:
        return CheckpointStore(expanded(folder))
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return CheckpointStore(expanded(data) / "lgm-bench" / "checkpoints")


def default_checkpoint(victim: str) -> tuple[CheckpointStore, CheckpointEntry]:
    """Return the default checkpoint of a victim, and its store.

    Raises:
        CheckpointError: There is none; the message says where to get one and how to import it.
    """
    default = registered(victim, None)
    if default:
        return default
    own = f'checkpoint="random" gives untrained weights, `lgm-bench train {victim} --data-root DIR` trains some.'
    raise CheckpointError(f"{victim} has no checkpoint yet. {how_to_get(victim)} {own}")


def registered(victim: str, checkpoint: str | None) -> tuple[CheckpointStore, CheckpointEntry] | None:
    """Return the entry of a victim's weights and its store, or None if no registry lists them.

    Args:
        victim: The victim's name.
        checkpoint: A path or "random"; None: the default.
    """
    if checkpoint is not None:
        path = expanded(checkpoint)
        store = CheckpointStore(path.parent)
        return next(((store, entry) for entry in store.entries() if entry.file == path.name), None)
    stores = ((store, store.ready(victim)) for store in (user_store(), shipped_store()))
    return next(((store, entry) for store, entry in stores if entry), None)


def trained_on(victim: str, checkpoint: str | None) -> str | None:
    """Return the data set on which a victim's weights were trained here; None without a training record.

    Args:
        victim: As for `registered`.
        checkpoint: As for `registered`.
    """
    place = registered(victim, checkpoint)
    if place is None or place[1].training is None:
        return None
    store, entry = place
    try:
        record = json.loads((store.folder / str(entry.training)).read_bytes())
        return str(record["data"]["name"])
    except (OSError, ValueError, KeyError, TypeError):  # an older record, or none at all
        return None


def store_slopes(victim: str, checkpoint: str | None, found: StoredSlopes) -> Path:
    """Store slopes for a victim's weights; return the path of the registry.

    The shipped store is never changed: slopes for its weights go to the user's store with a copy of the weights.

    Raises:
        CheckpointError: No registry lists the weights, or it cannot be written.
    """
    place = registered(victim, checkpoint)
    if place is None:
        raise CheckpointError(
            f"no registry has {checkpoint or 'weights'} of {victim}; `lgm-bench import {victim} FILE` makes an entry"
        )
    store, entry = place
    own = user_store()
    if store == shipped_store() and own.folder.resolve() != store.folder.resolve():
        own.add(with_slopes(entry.model_copy(update={"training": None}), found), store.content(entry))
        return own.folder / REGISTRY_FILE
    return store.add_slopes(entry, found)


def checkpoint_status() -> list[CheckpointStatus]:
    """Return for every registered victim whether it has a checkpoint, or how to get one."""
    entries = [*user_store().entries(), *shipped_store().entries()]
    return [_status(name, [entry for entry in entries if entry.victim == name]) for name in victim_names()]


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, as 64 hex digits.

    Raises:
        CheckpointError: The file cannot be read.
    """
    if is_named_pipe(path):
        raise CheckpointError(f"{path} is a named pipe; give a file")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from error


def verified_bytes(path: Path, sha256: str | None) -> bytes:
    """Return the content of a file after checking its sha256, if one is given.

    Raises:
        CheckpointError: The file cannot be read, or has another sha256.
    """
    if is_named_pipe(path):
        raise CheckpointError(f"{path} is a named pipe; give a file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"cannot read checkpoint {path}: {error.strerror or error}; import or train it again"
        ) from error
    actual = hashlib.sha256(content).hexdigest()
    if sha256 is not None and actual != sha256:
        raise CheckpointError(
            f"{path} has sha256 {actual}, but {path.parent / REGISTRY_FILE} says {sha256}: the file was changed or is "
            "damaged; import it again"
        )
    return content


def _status(name: str, entries: list[CheckpointEntry]) -> CheckpointStatus:
    ready = next((entry for entry in entries if entry.file), None)
    if ready:
        return CheckpointStatus(name, True, f"{ready.file} ({ready.source})")
    official = [f"{entry.official_file} ({entry.source})" for entry in entries]
    if official:
        return CheckpointStatus(name, False, f"to be imported: {' or '.join(official)}")
    return CheckpointStatus(name, False, "no published file known; to be trained with lgm-bench train")


def how_to_get(victim: str) -> str:
    """Return a sentence on where to get a victim's published weights, and how to import them."""
    entries = [entry for entry in shipped_store().entries() if entry.victim == victim]
    if not entries:
        return f"No published file of it is known; `lgm-bench train {victim} --data-root DIR` makes one."
    files = " or ".join(f"{entry.official_file} from {entry.source}" for entry in entries)
    command = f"lgm-bench import {victim} {Path(str(entries[0].official_file)).name}"
    return f"Get {files}, then run `{command}` or pass its path as the checkpoint."
