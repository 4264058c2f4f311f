"""The results folder: files appear whole, what is damaged or foreign is named and not used, nothing is lost."""

import errno
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from hand_made import cell, result

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store import store as stores
from lgm_bench.evaluation.store.files import About, CannotWriteError, encode, together
from lgm_bench.evaluation.store.record import CellResult, Preflight
from lgm_bench.evaluation.store.rows import Outcome
from lgm_bench.evaluation.store.samples import keep_adversarial, sample_path, without_adversarial
from lgm_bench.evaluation.store.store import PARTS, CellStore
from lgm_bench.evaluation.store.tally import figures_of
from lgm_bench.tasks.images import ImageClassification
from lgm_bench.tasks.samples import SavedCloud

IDS = [f"test-{index:05d}" for index in range(6)]
FINGERPRINT = "0123456789abcdef"


def rows(*places: int, target: int | None = None) -> pa.Table:
    n = len(places)
    values, flags = torch.zeros(n, dtype=torch.int64), torch.ones(n, dtype=torch.bool)
    return Outcome(
        ids=[IDS[place] if place < len(IDS) else f"other-{place}" for place in places],
        target=target,
        perturbed=flags,
        attacked=flags,
        verdict={
            "label": values,
            "clean_prediction": values,
            "adversarial_prediction": values,
            "success": ~flags,
            "correct": flags,
        },
        distance=torch.rand(n),
        within_bounds=flags,
        clean_loss=torch.rand(n),
        adversarial_loss=torch.rand(n),
        counts=None,
    ).table(ImageClassification)


def record_of(table: pa.Table) -> CellResult:
    figures = figures_of(table, cell()) | {"n_samples": pc.count_distinct(table.column("id")).as_py()}
    return result(cell(), fingerprint=FINGERPRINT).model_copy(update=figures)


@pytest.fixture
def store(tmp_path: Path) -> CellStore:
    return CellStore(tmp_path, "victim-fgsm", FINGERPRINT)


def part_files(store: CellStore) -> list[Path]:
    return sorted((store.folder / PARTS).glob("*.parquet"))


def test_rows_come_back_with_what_they_took(store: CellStore) -> None:
    first, second = rows(0, 1), rows(2, 3, 4)
    with store.locked():
        store.add(first, 1.5, "cpu")
        store.add(second, 2.0, "gpu")
        store.add(second, 2.0, "gpu")  # computed twice, kept once
        parts = store.parts(IDS)
    assert len(parts) == 2
    assert {part.rows.column("id")[0].as_py(): part for part in parts}.keys() == {IDS[0], IDS[2]}
    for part in parts:
        assert part.rows.schema.equals(ImageClassification.schema(), check_metadata=True)
        assert part.rows == (first if part.rows.num_rows == 2 else second)
    about = together(parts)
    assert (about.seconds, about.devices) == (3.5, ("cpu", "gpu"))


def test_checks_come_back(store: CellStore) -> None:
    checks = Preflight(n_samples=8, zero_gradient_share=0.25, deterministic=True, batch_invariance=1e-7)
    with store.locked():
        assert store.checks() is None
        store.keep_checks(checks)
        assert store.checks() == checks
        (store.folder / "checks.json").write_text("{")
        assert store.checks() is None


def flipped_bit(content: bytes) -> bytes:
    """Flip a bit where the pages of the column "distance" lie: it still is a Parquet file."""
    import io

    import pyarrow.parquet as pq

    column = ImageClassification.schema().get_field_index("distance")
    about = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(column)
    place = about.data_page_offset + about.total_compressed_size // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


NOBODY = About(1.0, ())
DAMAGED = {
    "empty": (lambda _: b"", "damaged"),
    "truncated": (lambda good: good[: len(good) // 2], "damaged"),
    "a bit flipped": (flipped_bit, "damaged"),
    "no Parquet": (lambda _: b"id,label\n1,2\n" * 100, "damaged"),
    "of another cell": (lambda _: encode(rows(0, 1), "f" * 16, About(1.0, ("cpu",))), "another cell (" + "f" * 16),
    "of another data set": (lambda _: encode(rows(0, 77), FINGERPRINT, NOBODY), "not in the data set"),
    "incomplete": (
        lambda _: encode(
            pa.concat_tables([rows(0, 1, target=0), rows(0, target=1)]), FINGERPRINT, NOBODY
        ),
        "same number of rows",
    ),
    "other columns": (lambda _: encode(rows(0, 1).drop_columns(["label"]), FINGERPRINT, NOBODY), "other columns"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_unusable_parts_are_named_and_not_used(store: CellStore, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    spoil, reason = DAMAGED[damage]
    with store.locked():
        store.add(rows(0, 1), 1.0, "cpu")
        (bad,) = part_files(store)
        store.add(rows(2, 3), 1.0, "cpu")
        bad.write_bytes(spoil(bad.read_bytes()))
        with caplog.at_level(logging.WARNING):
            parts = store.parts(IDS)
        assert [part.rows.column("id").to_pylist() for part in parts] == [[IDS[2], IDS[3]]]
        assert str(bad) in caplog.text
        assert reason in caplog.text
        assert bad.with_name(bad.name + ".unusable").exists()
        store.add(rows(0, 1), 1.0, "cpu")  # what was lost is computed again, under the same name
        assert len(store.parts(IDS)) == 2


def test_left_overs_of_a_killed_write_are_removed(store: CellStore) -> None:
    with store.locked():
        left_over = store.folder / PARTS / ".abc.parquet.123.tmp"
        left_over.write_bytes(b"half")
        assert store.parts(IDS) == []
        assert not left_over.exists()


def test_a_full_disk_loses_nothing(store: CellStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.locked():
        store.add(rows(0, 1), 1.0, "cpu")
        before = part_files(store)

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(CannotWriteError, match=r"No space left on device.*free some space.*--out"):
                store.add(rows(2, 3), 1.0, "cpu")
        assert part_files(store) == before
        assert not list(store.folder.rglob("*.tmp"))
        store.add(rows(2, 3), 1.0, "cpu")
        assert len(store.parts(IDS)) == 2


def test_a_place_that_takes_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = CellStore(tmp_path / "file", "victim-fgsm", FINGERPRINT)
    with pytest.raises(CannotWriteError, match=r"cannot write .*file/victim-fgsm"), store.locked():
        pytest.fail("it was locked")


def test_only_one_run_at_a_time(store: CellStore) -> None:
    program = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); input()"
    store.folder.mkdir(parents=True)
    command = [sys.executable, "-c", program, str(store.folder / "lock")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        with pytest.raises(ResultError, match="another run is at work on"), store.locked():
            pytest.fail("it was locked twice")
    finally:
        other.kill()
        other.wait()
    with store.locked():  # the lock of a killed run is free
        pass


def test_a_record_that_is_none_is_set_aside(store: CellStore, caplog: pytest.LogCaptureFixture) -> None:
    store.folder.mkdir(parents=True)
    path = store.folder / "result.json"
    path.write_text('{"accuracy": 1.0}')
    assert store.result() is None
    assert str(path) in caplog.text
    assert not path.exists()


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_a_record_counts_with_its_rows_only(store: CellStore, caplog: pytest.LogCaptureFixture, spoil: Any) -> None:
    record = record_of(rows(0, 1))
    with store.locked():
        store.finish(record, rows(0, 1), [])
    assert store.result() == record
    spoil(store.folder / "rows.parquet")
    assert store.result() is None
    assert "rows.parquet" in caplog.text
    assert store.parts(IDS) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": {"accuracy": 0.5}},
        {"metrics": {"accuracy": 7}},
        {"metrics": {"accuracy": float("nan")}},
        {"n_samples": 3},
    ],
)
def test_a_record_that_says_something_else_than_its_rows_is_set_aside(
    store: CellStore, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    table = rows(0, 1)
    with store.locked():
        store.finish(record_of(table), table, [])
    path = store.folder / "result.json"
    record = json.loads(path.read_text())
    changed = {name: {**record[name], **value} if isinstance(value, dict) else value for name, value in wrong.items()}
    path.write_text(json.dumps(record | changed))
    assert store.result() is None
    assert not path.exists()
    assert f"{path} is not used" in caplog.text
    (part,) = store.parts(IDS)  # the rows are good, and make the record again
    assert part.rows == table


@pytest.mark.parametrize(
    ("commits", "text"),
    [((), None), (("a",), "a"), (("b", "a", "b"), "a; b"), (("a", None), None), (("a", "a-dirty"), "a; a-dirty")],
)
def test_all_source_trees_that_had_a_part_in_it_are_told(
    store: CellStore, monkeypatch: pytest.MonkeyPatch, commits: tuple[str | None, ...], text: str | None
) -> None:
    with store.locked():
        for place, commit in enumerate(commits):
            monkeypatch.setattr(stores, "git_commit", lambda commit=commit: commit)
            store.add(rows(place), 1.0, "cpu")
        assert together(store.parts(IDS)).commit == text
        store.forget(store.parts(IDS), {IDS[0]})
        store.finish(result(cell(), fingerprint=FINGERPRINT), rows(*range(6)), store.parts(IDS))
        assert together(store.parts(IDS)).commits == tuple(sorted(set(commits[1:]), key=str))


def test_titles_become_names_of_folders(tmp_path: Path) -> None:
    folder = CellStore(tmp_path, "my.module:Class/x-fgsm", FINGERPRINT).folder
    assert folder == tmp_path / f"my.module_Class_x-fgsm-{FINGERPRINT}"


@pytest.mark.parametrize("name", ["rows.parquet", "result.json", "checks.json"])
def test_what_may_not_be_read_stops_and_stays(store: CellStore, name: str) -> None:
    """A folder stands for a file without permission, which for root there is none of."""
    table = rows(0, 1)
    with store.locked():
        store.keep_checks(Preflight(n_samples=8, zero_gradient_share=0.25, deterministic=True, batch_invariance=1e-7))
        store.finish(record_of(table), table, [])
    path = store.folder / name
    path.unlink()
    path.mkdir()
    with pytest.raises(ResultError, match=rf"cannot read .*{name}: .*; correct its permissions"):
        store.checks() if name == "checks.json" else store.result()
    assert path.is_dir()


@pytest.mark.parametrize("content", ['{"n_samples": "many"}', "[]", '{"n_samples": 8, "colour": "red"}', "{"])
def test_checks_that_are_none_are_set_aside(store: CellStore, caplog: pytest.LogCaptureFixture, content: str) -> None:
    store.folder.mkdir(parents=True)
    path = store.folder / "checks.json"
    path.write_text(content)
    assert store.checks() is None
    assert str(path) in caplog.text
    assert not path.exists()


def test_clouds_that_are_none_are_named_and_made_again(store: CellStore, caplog: pytest.LogCaptureFixture) -> None:
    points = torch.rand(5, 3)
    with store.locked():
        for sample_id in IDS[:4]:
            labels = torch.arange(5)
            keep_adversarial(store.folder, SavedCloud(sample_id, points, points, points, labels, labels, labels))
    assert without_adversarial(store.folder, IDS, SavedCloud) == set(IDS[4:])
    truncated, foreign, text, _ = (sample_path(store.folder / "clouds", sample_id) for sample_id in IDS[:4])
    truncated.write_bytes(truncated.read_bytes()[:-40])
    foreign.write_bytes(text.read_bytes())
    text.write_text("no archive")
    assert without_adversarial(store.folder, IDS, SavedCloud) == {IDS[0], IDS[1], IDS[2], *IDS[4:]}
    for path in (truncated, foreign, text):
        assert f"{path} is not used: it is damaged or no SavedCloud of this sample" in caplog.text
        assert path.with_name(path.name + ".unusable").exists()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed by Linux alone")
def test_reading_rows_leaves_no_thread_behind(store: CellStore) -> None:
    """A worker of Arrow's pool that is still there when Python exits sometimes aborts it, with code 134."""
    with store.locked():
        store.add(rows(0, 1), 1.0, "cpu")
    (path,) = part_files(store)
    reading = (
        "import sys\nfrom pathlib import Path\nfrom lgm_bench.evaluation.store.files import read_part\n"
        "read_part(Path(sys.argv[1]), sys.argv[2], None)\n"
        "print(*[task.joinpath('comm').read_text().strip() for task in Path('/proc/self/task').iterdir()])"
    )
    command = [sys.executable, "-c", reading, str(path), store.fingerprint]
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    names = subprocess.run(command, check=True, capture_output=True, text=True, env=alone).stdout.split()
    assert [name for name in names if name != "jemalloc_bg_thd"] == [names[0]], "the main thread alone"
