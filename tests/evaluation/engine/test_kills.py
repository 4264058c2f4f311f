"""kill -9 at every moment of a cell, then the same again: at most a batch is computed twice, and nothing differs."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from forked import ended_by
from hand_made import flat_cell
from judged import SKIPNET, judged_cell, write_judged
from tiny_points import ROOMS, SCENE_NET, Rooms

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine import sink
from lgm_bench.evaluation.engine.progress import Observer
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.evaluation.store import samples, store
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.tasks import tensors

N, BATCH, STEPS = 13, 4, 3
IMAGES = judged_cell(SKIPNET, "lgm", attack="pgd", eps=4.0, steps=STEPS)
SCENES = flat_cell(SCENE_NET, ROOMS, "pointbim", "lgm", 0.03, step=0.01, steps=2, slope=10.0)

#: What is written, in order: the checks, 4 times the examples of a batch and its rows, all rows, the record.
WRITES = {0: 0, 2: 0, 5: 0, 6: 4, 17: 12, 18: 13, 19: 13}
#: Of scenes, one a batch: the checks, then an example, a .ply, an .npz and the rows of each.
CLOUD_WRITES = {1: 0, 2: 0, 3: 0, 4: 0, 7: 1, 4 * len(Rooms.sizes) + 2: len(Rooms.sizes)}


@pytest.fixture(autouse=True, scope="module")
def _no_sample_waits() -> Iterator[None]:
    """With passes of one image every batch is finished by itself, so the tests know what is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "PASS_SIZE", 1)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judged(tmp_path_factory.mktemp("data"), SKIPNET, N)


class Started(Observer):
    """Notes what was there from before, and how much was computed."""

    def __init__(self) -> None:
        self.before, self.batches = -1, 0

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:  # noqa: ARG002
        self.before = done_samples

    def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:  # noqa: ARG002
        self.batches += 1


def run(cell: Cell, out: Path, root: Path | None, **options: Any) -> CellResult:
    results = run_cells([cell], out, data_root=root, accelerator="cpu", **options)
    for _, error in results.failures:
        raise error
    (result,) = results
    return result


def killed(work: Callable[[], object]) -> None:
    """Do work in a process of its own that must be killed on the way."""
    assert ended_by(work)[0] == -signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(Observer):
    """Kills the process at an iteration of the attack, counted over all batches from 1."""

    def __init__(self, moment: int) -> None:
        self.moment, self.seen = moment, 0

    def iteration(self, cell: Cell, i: int, steps: int, n: int) -> None:  # noqa: ARG002
        self.seen += 1
        if self.seen == self.moment:
            die()


def dying_at(number: int, write: Callable[[Path, bytes], None]) -> Callable[[Path, bytes], None]:
    """Return a `write_whole` that is killed when half of the file of that number is written."""
    calls = iter(range(1000))

    def write_or_die(path: Path, content: bytes) -> None:
        if next(calls) == number:
            path.with_name(f".{path.name}.{os.getpid()}.tmp").write_bytes(content[: len(content) // 2])
            die()
        write(path, content)

    return write_or_die


def assert_same(first: Path, second: Path, a: CellResult, b: CellResult) -> None:
    exclude = {"finished_at", "wall_time_s", "peak_memory", "git_commit"}
    assert a.model_dump(exclude=exclude) == b.model_dump(exclude=exclude)
    names = [sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file()) for out in (first, second)]
    assert names[0] == names[1]
    for name in names[0]:
        if name.suffix in (".npz", ".ply"):
            assert (first / name).read_bytes() == (second / name).read_bytes()
        if name.suffix == ".parquet":
            assert pq.read_table(first / name) == pq.read_table(second / name)


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CellResult]:
    out = tmp_path_factory.mktemp("whole")
    return out, run(IMAGES, out, root, batch_size=BATCH)


@pytest.mark.parametrize("number", WRITES)
def test_while_a_file_is_written(
    root: Path, whole: tuple[Path, CellResult], tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying = dying_at(number, store.write_whole)
        patch.setattr(store, "write_whole", dying)
        patch.setattr(samples, "write_whole", dying)
        killed(lambda: run(IMAGES, tmp_path, root, batch_size=BATCH))
    events = Started()
    result = run(IMAGES, tmp_path, root, batch_size=BATCH, observer=events)
    assert events.before == WRITES[number]
    assert_same(tmp_path, whole[0], result, whole[1])


@pytest.mark.parametrize("moment", [1, STEPS + 2, 3 * STEPS])
def test_in_the_middle_of_a_batch(root: Path, whole: tuple[Path, CellResult], tmp_path: Path, moment: int) -> None:
    killed(lambda: run(IMAGES, tmp_path, root, batch_size=BATCH, observer=Dying(moment)))
    events = Started()
    result = run(IMAGES, tmp_path, root, batch_size=BATCH, observer=events)
    batches_before = (moment - 1) // STEPS
    assert (events.before, events.batches) == (batches_before * BATCH, 4 - batches_before)
    assert_same(tmp_path, whole[0], result, whole[1])


@pytest.mark.parametrize("moment", [2, STEPS + 2])
def test_while_samples_wait_for_the_next_batch(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    monkeypatch.setattr(tensors, "PASS_SIZE", BATCH)
    whole = run(IMAGES, tmp_path / "whole", root, batch_size=BATCH)

    killed(lambda: run(IMAGES, tmp_path / "killed", root, batch_size=BATCH, observer=Dying(moment)))
    result = run(IMAGES, tmp_path / "killed", root, batch_size=BATCH)
    assert_same(tmp_path / "killed", tmp_path / "whole", result, whole)


def test_during_the_checks(root: Path, whole: tuple[Path, CellResult], tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("lgm_bench.evaluation.engine.stage.preflight", lambda *_: die())
        killed(lambda: run(IMAGES, tmp_path, root, batch_size=BATCH))
    assert_same(tmp_path, whole[0], run(IMAGES, tmp_path, root, batch_size=BATCH), whole[1])


def test_kept_clouds_are_those_of_a_run_that_was_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(SCENES, tmp_path / "whole", None, save_adversarial=True)
    for number, done in CLOUD_WRITES.items():
        with monkeypatch.context() as patch:
            dying = dying_at(number, store.write_whole)
            for module in (samples, store):
                patch.setattr(module, "write_whole", dying)
            killed(lambda: run(SCENES, tmp_path / str(number), None, save_adversarial=True))  # noqa: B023
        events = Started()
        result = run(SCENES, tmp_path / str(number), None, save_adversarial=True, observer=events)
        assert events.before == done
        assert_same(tmp_path / str(number), tmp_path / "whole", result, whole)


@pytest.mark.parametrize("end", [KeyboardInterrupt, None], ids=["interrupted", "killed"])
def test_a_group_of_batches_is_lost_by_a_kill_alone(
    root: Path, whole: tuple[Path, CellResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type | None
) -> None:
    class Ending(Started):
        seen = 0

        def iteration(self, cell: Cell, i: int, steps: int, n: int) -> None:  # noqa: ARG002
            self.seen += 1
            if self.seen == 2 * STEPS + 1:  # two batches are finished
                die() if end is None else _raise(end())

    monkeypatch.setattr(sink, "GROUP_S", 1000.0)
    code, text = ended_by(lambda: run(IMAGES, tmp_path, root, batch_size=BATCH, observer=Ending()))
    assert code == -signal.SIGKILL if end is None else text.startswith("RunInterruptedError")
    added, add = [], store.CellStore.add
    monkeypatch.setattr(store.CellStore, "add", lambda self, rows, *rest: (added.append(rows), add(self, rows, *rest)))
    events = Started()
    result = run(IMAGES, tmp_path, root, batch_size=BATCH, observer=events)
    assert events.before == (0 if end is None else 2 * BATCH)
    assert [rows.num_rows for rows in added] == [N - events.before]
    assert_same(tmp_path, whole[0], result, whole[1])


def _raise(error: BaseException) -> None:
    raise error
