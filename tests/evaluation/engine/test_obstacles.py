"""A disk that takes no more, a folder that may not be written to, a worker that is killed: errors, and nothing lost."""

import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from forked import ended_by
from hand_made import flat_cell
from judged import SKIPNET, judged_cell, write_judged
from tiny_points import ROOMS, SCENE_NET, Rooms

from lgm_bench.errors import LostProcessError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.progress import Observer
from lgm_bench.evaluation.engine.runner import RunResults, run_cells
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.tally import Tally

NOBODY = 65534
IMAGES = judged_cell(SKIPNET, "lgm", attack="pgd", eps=4.0, steps=3)
SCENES = flat_cell(SCENE_NET, ROOMS, "pointbim", "lgm", 0.03, step=0.01, steps=2, slope=10.0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own ones only let their owner in."""
    folder = Path(tempfile.mkdtemp(prefix="lgm-bench-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run(cell: Cell, out: Path, **options: Any) -> RunResults:
    return run_cells([cell], out, **{"accelerator": "cpu"} | options)


def one(results: RunResults) -> CellResult:
    for _, error in results.failures:
        raise error
    (result,) = results
    return result


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    whole = one(run(SCENES, tmp_path / "whole"))
    (rows,) = (tmp_path / "whole").glob("*/rows.parquet")

    def cramped() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (rows.stat().st_size - 150, resource.RLIM_INFINITY))  # a scene's fit
        run(SCENES, tmp_path / "cramped")

    _, text = ended_by(cramped)
    assert text.startswith("CannotWriteError: cannot write ")
    assert "rows.parquet: File too large; finished batches are kept: free some space" in text
    assert not list((tmp_path / "cramped").rglob("*.tmp"))
    assert len(list((tmp_path / "cramped").glob("*/parts/*.parquet"))) == len(Rooms.sizes)
    again = one(run(SCENES, tmp_path / "cramped"))
    assert (again.metrics, again.classes, again.fingerprint) == (whole.metrics, whole.classes, whole.fingerprint)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_folder_that_may_not_be_written_to(open_folder: Path) -> None:
    def as_nobody() -> None:
        os.environ["LGM_BENCH_CHECKPOINTS"] = str(open_folder)  # root's own are not for everybody to read
        os.seteuid(NOBODY)
        run(SCENES, open_folder / "out")

    _, text = ended_by(as_nobody)
    assert text.startswith(f"CannotWriteError: cannot write {open_folder}/out/")
    assert "Permission denied" in text
    assert "correct the permissions and run again, or choose another results folder (--out)" in text
    assert not (open_folder / "out").exists()


def test_a_worker_that_is_killed_is_named_and_what_it_did_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_judged(tmp_path, SKIPNET, 13)

    class Killing(Observer):
        killed = False

        def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:  # noqa: ARG002
            if not self.killed:
                os.kill(worker(rank=1), signal.SIGKILL)
            self.killed = True

    long = IMAGES.replace(attack={"steps": 40})

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(temporary))
    common = {"data_root": root, "batch_size": 2}
    message = "process 1 of 2 was killed by signal 9; finished batches are kept: run again to go on"
    with pytest.raises(LostProcessError, match=message):
        run(long, tmp_path / "killed", devices=2, observer=Killing(), **common)
    assert list(temporary.iterdir()) == []
    assert 1 <= len(list((tmp_path / "killed").glob("*/parts/*.parquet"))) < 7
    again, whole = (one(run(long, tmp_path / name, **common)) for name in ("killed", "whole"))
    assert again.metrics == whole.metrics
    tables = [pq.read_table(next((tmp_path / name).glob("*/rows.parquet"))) for name in ("killed", "whole")]
    assert tables[0].select(["id", "correct", "on_to_off"]) == tables[1].select(["id", "correct", "on_to_off"])


def worker(rank: int) -> int:
    """Return the process of a rank among the children of this one."""
    children = [child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()]
    mark = f"\0LOCAL_RANK={rank}\0"
    (found,) = (int(child) for child in children if mark in f"\0{Path(f'/proc/{child}/environ').read_text()}")
    return found
