"""Whole runs of cells: finished ones are read, killed ones go on where they were, the numbers are the same."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from forked import ended_by
from hand_made import altered
from judged import DATA, DYNCONV, SKIPNET, STATIC, judged_cell, write_judged

from lgm_bench.errors import ConfigError, ResultError, RunInterruptedError, UnknownNameError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.progress import Observer
from lgm_bench.evaluation.engine.runner import RunResults, run_cells
from lgm_bench.evaluation.store.files import CannotWriteError
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.tasks import tensors

N = 13


class Events(Observer):
    """Notes what a run tells."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:
        self.seen.append(("started", cell, n_cells, total_samples, done_samples))

    def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:  # noqa: ARG002
        self.seen.append(("batch", n_done, running))

    def cell_finished(self, result: CellResult, from_store: bool) -> None:  # noqa: ARG002
        self.seen.append(("finished", from_store))

    def cell_failed(self, cell: Cell, error: Exception) -> None:  # noqa: ARG002
        self.seen.append(("failed", cell))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [event[1:] for event in self.seen if event[0] == kind]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write_judged(tmp_path_factory.mktemp("data"), name, N) for name in (SKIPNET, DYNCONV, STATIC)}


def run(roots: dict[str, Path], cells: list[Cell], out: Path, **options: Any) -> RunResults:
    return run_cells(
        cells, out, data_root=roots[cells[0].victim.name], **{"batch_size": 4, "accelerator": "cpu"} | options
    )


def one(results: RunResults) -> CellResult:
    for _, error in results.failures:
        raise error
    (result,) = results
    return result


def rows_of(out: Path) -> list[dict[str, Any]]:
    (path,) = out.glob("*/rows.parquet")
    return pq.read_table(path).to_pylist()


def numbers(result: CellResult) -> dict[str, Any]:
    return result.model_dump(exclude={"finished_at", "wall_time_s", "device", "peak_memory", "run", "git_commit"})


def about_equal(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
    return a == [{key: pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
                  for key, value in row.items()} for row in b]  # fmt: skip


@pytest.mark.usefixtures("_no_sample_waits")
@pytest.mark.parametrize("victim", [SKIPNET, DYNCONV, STATIC])
def test_a_finished_cell_is_read(roots, tmp_path: Path, victim: str) -> None:
    cell = judged_cell(victim, paper=("table_1", "eps=4", victim, "fgm"))
    events, again = Events(), Events()
    first = one(run(roots, [cell], tmp_path, observer=events))
    assert events.of("started") == [(cell, 1, N, 0)]
    assert [done for done, _ in events.of("batch")] == [4, 8, 12, 13]
    rows = rows_of(tmp_path)
    assert [row["id"] for row in rows] == [f"test-{index:05d}" for index in range(N)]
    assert first.left == sum(row["correct"] for row in rows) / N
    assert first.n_attacked == sum(row["attacked"] for row in rows) == 8
    last = events.of("batch")[-1][1]
    assert last.figures() == first.metrics
    assert first.cell == altered(cell, step=4.0, steps=1, mean=first.cell.victim.mean, std=first.cell.victim.std)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    second = one(run(roots, [altered(cell, step=4.0, paper=None)], tmp_path, observer=again))
    assert again.of("finished") == [(True,)]
    assert second.model_dump(exclude={"cell"}) == first.model_dump(exclude={"cell"})
    assert (first.cell.paper, second.cell.paper) == (cell.paper, None)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files
    assert sorted(path.name for path in next(tmp_path.iterdir()).iterdir()) == [
        "checks.json", "examples", "lock", "result.json", "rows.parquet"
    ]  # fmt: skip


@pytest.mark.parametrize("victim", [SKIPNET, DYNCONV])
def test_batch_size_changes_nothing(roots, tmp_path: Path, victim: str) -> None:
    cell = judged_cell(victim, "lgm", attack="pgd", eps=4.0, steps=3)
    sizes = 1, 5, 13
    results = [one(run(roots, [cell], tmp_path / str(size), batch_size=size)) for size in sizes]
    assert len({result.fingerprint for result in results}) == 1
    assert results[0].checks == results[1].checks == results[2].checks
    one_by_one, *others = (rows_of(tmp_path / str(size)) for size in sizes)
    assert all(rows == one_by_one for rows in others), "not one bit differs"


def test_whatever_changes_a_number_changes_the_folder(roots, tmp_path: Path) -> None:
    cell = judged_cell(SKIPNET)
    others = [
        altered(cell, eps=5.0),
        altered(cell, seed=1),  # which also is the seed of the random weights
        altered(cell, limit=12),
        altered(cell, protocol="standard", eps=4 / 255),
        altered(cell, mean=(0.5, 0.5, 0.5)),
        altered(cell, gradient="lgm", slope=1.0),
        altered(cell, gradient="lgm", slope=2.0),
        altered(cell, targeted=True, limit=2),
    ]
    results = run(roots, [cell, *others], tmp_path)
    assert not results.failures
    assert len({result.fingerprint for result in results}) == len(others) + 1
    assert len(list(tmp_path.iterdir())) == len(others) + 1
    assert results[-1].n_attempts == 20
    assert one(run(roots, [cell], tmp_path, seed=1)).fingerprint == results[2].fingerprint


RESUMED = judged_cell(SKIPNET, "lgm", attack="pgd", eps=4.0, steps=2)


@pytest.mark.usefixtures("_no_sample_waits")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_a_run_that_is_ended_goes_on_with_the_same_numbers(roots, tmp_path: Path, end: signal.Signals) -> None:
    class Ending(Observer):
        def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:  # noqa: ARG002
            if n_done == 8:
                os.kill(os.getpid(), end)

    _, text = ended_by(lambda: run(roots, [RESUMED], tmp_path / "ended", observer=Ending()))
    assert text.startswith("RunInterruptedError: interrupted; finished batches are kept")
    events = Events()
    resumed = one(run(roots, [RESUMED], tmp_path / "ended", observer=events))
    assert events.of("started") == [(RESUMED, 1, N, 8)]
    assert [done for done, _ in events.of("batch")] == [12, 13]
    whole = one(run(roots, [RESUMED], tmp_path / "whole"))
    assert numbers(resumed) == numbers(whole)
    assert rows_of(tmp_path / "ended") == rows_of(tmp_path / "whole")


@pytest.mark.usefixtures("_no_sample_waits")
def test_a_damaged_part_is_computed_again(roots, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Stopping(Observer):
        def batch_done(self, cell: Cell, n_done: int, running: Tally) -> None:  # noqa: ARG002
            if n_done == 12:
                raise KeyboardInterrupt

    with pytest.raises(RunInterruptedError, match="the same command goes on"):
        run(roots, [RESUMED], tmp_path / "damaged", observer=Stopping())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    parts = sorted((tmp_path / "damaged").glob("*/parts/*.parquet"))
    assert len(parts) == 3
    parts[1].write_bytes(parts[1].read_bytes()[:-50])
    events = Events()
    resumed = one(run(roots, [RESUMED], tmp_path / "damaged", observer=events))
    assert str(parts[1]) in caplog.text
    assert events.of("started") == [(RESUMED, 1, N, 8)]
    assert resumed.n_samples == N
    one(run(roots, [RESUMED], tmp_path / "whole"))
    assert about_equal(rows_of(tmp_path / "damaged"), rows_of(tmp_path / "whole"))


def test_a_record_is_put_together_again_from_the_rows(roots, tmp_path: Path) -> None:
    whole = one(run(roots, [RESUMED], tmp_path))
    (path,) = tmp_path.glob("*/result.json")
    path.write_text(path.read_text()[:100])
    events = Events()
    again = one(run(roots, [RESUMED], tmp_path, observer=events))
    assert events.of("batch") == []
    assert again.model_copy(update={"finished_at": whole.finished_at}) == whole


def test_two_processes_give_the_same_rows(roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "PASS_SIZE", 64)  # as in the processes that are started
    cells = [
        RESUMED,  # 13 images: shares of 7 and 6
        altered(RESUMED, limit=1),  # fewer than processes
        altered(RESUMED, attack="fgsm", steps=None, targeted=True, limit=3),
        altered(RESUMED, victim="tiny_networks:Broken", gradient="fgm", slope=None),
        altered(RESUMED, limit=5),
    ]
    events = Events()
    shared = run(roots, cells, tmp_path / "2", devices=2, batch_size=3, observer=events)
    alone = run(roots, cells, tmp_path / "1", batch_size=3)
    assert [cell for cell, _ in shared.failures] == [cells[3]]
    of_the_first = [done for done, _ in events.of("batch")]
    of_the_first = of_the_first[: of_the_first.index(N) + 1]
    assert of_the_first == sorted(set(of_the_first))
    assert events.of("batch")[len(of_the_first) - 1][1].figures() == shared[0].metrics
    assert [result.fingerprint for result in shared] == [result.fingerprint for result in alone]
    for a, b in zip(shared, alone, strict=True):
        assert {**numbers(a), "checks": None} == {**numbers(b), "checks": None}
        names = [next((tmp_path / n).glob(f"*{a.fingerprint}")) / "rows.parquet" for n in "12"]
        assert pq.read_table(names[0]).equals(pq.read_table(names[1])), "not one bit differs"


def test_a_cell_that_fails_does_not_stop_the_others(roots, tmp_path: Path) -> None:
    broken = altered(judged_cell(STATIC), victim="tiny_networks:Broken")
    unavailable = altered(judged_cell(STATIC), checkpoint=str(tmp_path / "none.safetensors"))
    good = judged_cell(STATIC)
    events = Events()
    results = run(roots, [good, broken, unavailable], tmp_path, observer=events)
    assert [result.cell.victim.name for result in results] == [STATIC]
    assert [cell for cell, _ in results.failures] == [broken, unavailable]
    assert "no weights for torch.float32" in str(results.failures[0][1])
    assert "none.safetensors" in str(results.failures[1][1])
    assert [kind for kind, *_ in events.seen if kind != "batch"] == [
        "started", "finished", "started", "failed", "started", "failed"
    ]  # fmt: skip


def test_a_cell_in_use_is_a_failure_that_says_so(roots, tmp_path: Path) -> None:
    cell = judged_cell(STATIC)
    one(run(roots, [cell], tmp_path))
    (folder,) = tmp_path.iterdir()
    (folder / "result.json").unlink()
    title, _, fingerprint = folder.name.rpartition("-")
    with CellStore(tmp_path, title, fingerprint).locked():
        results = run(roots, [cell, altered(cell, eps=1.0)], tmp_path)
    assert len(results) == 1
    assert isinstance(results.failures[0][1], ResultError)
    assert "another run is at work on" in str(results.failures[0][1])


@pytest.mark.usefixtures("_no_sample_waits")
def test_a_full_disk_ends_the_run_and_loses_nothing(roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add, calls = CellStore.add, []

    def filling(self: CellStore, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise CannotWriteError("cannot write it: No space left on device; free some space")
        add(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(CellStore, "add", filling)
        with pytest.raises(ResultError, match="No space left on device; free some space"):
            run(roots, [RESUMED, altered(RESUMED, eps=1.0)], tmp_path)
    events = Events()
    one(run(roots, [RESUMED], tmp_path, observer=events))
    assert events.of("started") == [(RESUMED, 1, N, 8)]


WRONG = {
    "victim": ({"victim": "skpnet14-mini"}, {}, UnknownNameError, "did you mean skipnet14-mini"),
    "attack": ({"attack": "fgsmm"}, {}, UnknownNameError, "did you mean fgsm"),
    "data": ({"data": "cifar11"}, {}, UnknownNameError, "did you mean cifar10"),
    "gradient": ({"gradient": "gm"}, {}, UnknownNameError, "fgm"),
    "eps": ({"eps": -1.0}, {}, ConfigError, "eps must be"),
    "slope": ({"slope": 3.0}, {}, ConfigError, "'fgm' has no slope"),
    "lgm": ({"gradient": "lgm", "slope": -3.0}, {}, ConfigError, "slope must be"),
    "limit": ({"limit": 0}, {}, ConfigError, "limit must be"),
    "devices": ({}, {"devices": 0}, ConfigError, "devices must be"),
    "gpus": ({}, {"devices": 99, "accelerator": "cuda"}, ConfigError, "GPUs here, not 99"),
    "accelerator": ({}, {"accelerator": "gpus"}, UnknownNameError, "did you mean"),
    "apple": ({}, {"accelerator": "mps"}, ConfigError, "no float64"),
    "batch": ({}, {"batch_size": 0}, ConfigError, "batch_size must be"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_makes_no_sense_is_refused_before_anything_runs(roots, tmp_path: Path, wrong: str) -> None:
    values, options, kind, message = WRONG[wrong]
    good = judged_cell(STATIC)
    with pytest.raises(kind, match=message):
        run(roots, [good, altered(good, **values)], tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_record_says_what_it_rests_on(roots, tmp_path: Path) -> None:
    result = one(run(roots, [judged_cell(DYNCONV, limit=5, active_set=True)], tmp_path))
    record = json.loads(next(tmp_path.glob("*/result.json")).read_text())
    assert record["cell"]["attack"]["active_set"] is True
    assert (record["cell"]["data"]["limit"], record["n_samples"], record["cell"]["data"]["name"]) == (5, 5, DATA)
    assert result.metrics["architecture_change"] is None  # images that fell early were left alone
    assert result.folded
    assert record["checks"]["within_bounds"] is True
    assert {"lgm-bench", "torch", "python"} <= record["versions"].keys()
    assert record["device"].startswith("cpu")
    assert record["precision"] == "float32"


def test_a_process_ends_with_the_one_that_started_it_whatever_it_is_doing(roots, tmp_path: Path) -> None:
    long = RESUMED.replace(attack={"steps": 100_000})
    starter = multiprocessing.get_context("fork").Process(
        target=run, args=(roots, [long], tmp_path), kwargs={"devices": 2}
    )
    starter.start()
    try:
        while not list(tmp_path.glob("*/lock")):
            assert starter.is_alive()
            time.sleep(0.1)
        workers = children(starter.pid)
        assert len(workers) == 2
    finally:
        starter.kill()
        starter.join()
    until = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.1)


def children(process: int | None) -> list[int]:
    return [
        int(child) for path in Path(f"/proc/{process}/task").glob("*/children") for child in path.read_text().split()
    ]
