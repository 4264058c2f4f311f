"""What the doctor says of machines that lack one thing each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from indoor_files import write_room
from miniatures import write_cifar10

from datamodules import DATAMODULES, MARKS
from lgm_bench.cli import diagnosis as doctor
from lgm_bench.cli.diagnosis import BROKEN, MISSING, OK, Finding, can_run
from lgm_bench.sparse import compiled
from victims.checkpoints import shipped_store, user_store
from victims.names import victim_names


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.delenv("LGM_BENCH_DATA", raising=False)


def by_name(findings: Iterator[Finding], section: str) -> dict[str, Finding]:
    return {one.name: one for one in findings if one.section == section}


def test_this_machine_can_run_the_embedded_suite() -> None:
    findings = list(doctor.machine())
    assert can_run(findings)
    assert by_name(iter(findings), "devices")["cpu"].status == OK
    assert by_name(iter(findings), "sparse convolution")["native"] == Finding(
        "sparse convolution", "native", OK, "always there", required=True
    )
    plain = doctor.as_json(findings)
    assert plain["ready"]
    assert plain["findings"][0]["section"] == "devices"


def test_libraries_that_are_missing_or_too_old_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["numpy>=999", "no-such-library>=1", "torch", "rich; extra == 'shiny'", "pytest; extra == 'dev'"]
    needed += [
        "no-such-thing==2; python_version > '3' and extra == 'own'",
        "x; python_version < '3' and extra == 'old'",
    ]
    monkeypatch.setattr(doctor, "requires", lambda _: needed)
    found = list(doctor.machine())
    libraries, extras = by_name(iter(found), "libraries"), by_name(iter(found), "extras")
    assert libraries["torch"].status == OK
    assert libraries["numpy"].status == libraries["no-such-library"].status == BROKEN
    assert "does not fit >=999; pip install 'numpy>=999'" in libraries["numpy"].detail
    assert libraries["no-such-library"].detail == "is not installed; pip install 'no-such-library>=1'"
    assert {name: one.status for name, one in extras.items()} == {"shiny": OK, "own": MISSING, "old": MISSING}
    assert extras["own"].detail == "no-such-thing is not installed; pip install 'lgm-bench[own]'"
    assert not can_run(found)


def test_a_cache_that_takes_no_files_keeps_the_suite_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "file" / "cache"))
    found = list(doctor.machine())
    cache = by_name(iter(found), "folders")["cache"]
    assert cache.status == BROKEN
    assert "cannot be written: Not a directory; LGM_BENCH_CACHE=DIR names another folder" in cache.detail
    assert not can_run(found)


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE", 2**62)
    cache = by_name(doctor.machine(), "folders")["cache"]
    assert cache.status == BROKEN
    assert "free some space" in cache.detail


def test_without_a_compiler_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    compiled.library.cache_clear()
    try:
        found = list(doctor.machine())
    finally:
        monkeypatch.undo()
        compiled.library.cache_clear()
    kernels = by_name(iter(found), "sparse convolution")["C++ kernels"]
    assert kernels.status == MISSING
    assert kernels.detail.startswith("no C++ compiler was found")
    assert can_run(found), "plain PyTorch takes over"


def test_data_sets_are_found_missing_or_damaged(tmp_path: Path) -> None:
    write_room(tmp_path / "s3dis", "Area_5/office_1", {"wall_1": 30})
    write_cifar10(tmp_path / "cifar10")  # not the official files
    found = {one.name: one for one in doctor.data_sets(str(tmp_path))}
    assert list(found) == list(DATAMODULES)
    assert found["s3dis"].detail == f"{tmp_path / 's3dis'}, 1 sample"
    assert (found["s3dis"].status, found["cifar10"].status, found["imagenet"].status) == (OK, BROKEN, MISSING)
    assert "its MD5 differs" in found["cifar10"].detail
    assert "ILSVRC2012_img_val.tar" in found["imagenet"].detail
    assert {one.status for name, one in found.items() if name not in MARKS} == {OK}
    assert found["digits"].required
    assert not found["cifar10"].required


def test_checkpoints_are_ready_missing_or_damaged() -> None:
    found = {one.name: one for one in doctor.checkpoints()}
    assert list(found) == victim_names()
    assert can_run(list(found.values()))
    assert found["resnet8-mini"].required
    assert found["skipnet110-cifar10"].status == MISSING
    assert "resnet-110-rnn-cifar10.pth.tar" in found["skipnet110-cifar10"].detail
    shipped = shipped_store()
    entry = shipped.ready("resnet8-mini")
    assert entry is not None
    path = user_store().add(entry, shipped.content(entry))
    path.write_bytes(path.read_bytes()[:-1])
    damaged = {one.name: one for one in doctor.checkpoints()}
    assert damaged["resnet8-mini"].status == BROKEN
    assert "the file was changed or is damaged" in damaged["resnet8-mini"].detail
    assert not can_run(list(damaged.values()))
