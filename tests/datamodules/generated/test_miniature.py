"""Parts of generated data on disk: written once, verified, made again, never half."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from datamodules.generated import miniature
from datamodules.generated.miniature import ensure_part, is_whole
from lgm_bench.errors import DataError


def two_files() -> Iterator[tuple[str, bytes]]:
    yield "a/one.bin", b"1" * 100
    yield "two.txt", b"2\n"


def never() -> Iterator[tuple[str, bytes]]:
    raise AssertionError("nothing was to be made")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cache" / "set"
    ensure_part(folder, "test", two_files)
    return folder


def test_written_once(root: Path) -> None:
    assert (root / "a" / "one.bin").read_bytes() == b"1" * 100
    ensure_part(root, "test", never)
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == ["one.bin", "test.sha256", "two.txt"]


def test_parts_do_not_touch_each_other(root: Path) -> None:
    before = (root / "two.txt").stat().st_mtime_ns
    ensure_part(root, "train", lambda: [("three", b"3")])
    assert (is_whole(root, "train"), (root / "two.txt").stat().st_mtime_ns) == (True, before)
    (root / "three").write_bytes(b"4")
    assert (is_whole(root, "train"), is_whole(root, "test")) == (False, True)


@pytest.mark.parametrize("name", ["a/one.bin", "two.txt", "test.sha256"])
@pytest.mark.parametrize("damage", ["changed", "cut", "removed", "folder"])
def test_damaged_parts_are_made_again(root: Path, name: str, damage: str) -> None:
    path = root / name
    content = path.read_bytes()
    if damage == "changed":
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    if damage == "folder" and name == "a/one.bin":
        path.parent.rmdir()
    assert not is_whole(root, "test")
    ensure_part(root, "test", two_files)
    assert (path.read_bytes(), is_whole(root, "test")) == (content, True)


def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole(root: Path) -> None:
    def killed() -> Iterator[tuple[str, bytes]]:
        yield "a/one.bin", b"1" * 100
        raise KeyboardInterrupt

    (root / "two.txt").unlink()
    with pytest.raises(KeyboardInterrupt):
        ensure_part(root, "test", killed)
    assert not is_whole(root, "test")
    ensure_part(root, "test", two_files)
    assert is_whole(root, "test")


def test_locked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miniature, "LOCK_SECONDS", 0.05)
    with FileLock(root.with_name(".set.lock")):
        ensure_part(root, "test", never)  # what is whole needs no lock
        with pytest.raises(DataError, match="another run has locked"):
            ensure_part(root, "other", two_files)


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write generated data to .*file/set.*LGM_BENCH_CACHE"):
        ensure_part(tmp_path / "file" / "set", "test", two_files)


def test_full_disk(tmp_path: Path) -> None:
    """/dev/full refuses every write."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")

    def full() -> Iterator[tuple[str, bytes]]:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"1")
        yield "a", b"1"

    with pytest.raises(DataError, match="No space left on device"):
        ensure_part(tmp_path / "set", "test", full)
