"""Processes that torchrun or srun started: one evaluation, one voice, the same numbers, and an end when one is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from forked import Program, free_port
from judged import DATA, SKIPNET, write_judged
from typer.testing import CliRunner

from lgm_bench.cli import app
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.place import ALONE, Place, here
from lgm_bench.evaluation.engine.runner import RunResults, run_cells

N = 13
TESTS = Path(__file__).resolve().parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port")
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS", "SLURM_PROCID")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells of 13 images, of one, and of a network that fails, then one of 5."""
    folder = tmp_path_factory.mktemp("bench")
    root = write_judged(folder, SKIPNET, N)
    victim = f"{{name: '{SKIPNET}', checkpoint: random, slopes: {{pgd: 1, fgsm: 1}}}}"
    broken = "{name: 'tiny_networks:Broken', checkpoint: random}"
    grids = [
        f"{{data: '{DATA}', victims: {victim}, attacks: {{name: pgd, steps: 3}}, eps: 8/255, gradients: lgm}}",
        f"{{data: '{DATA}', victims: {victim}, attacks: fgsm, eps: 8/255, gradients: fgm, limit: 1}}",
        f"{{data: '{DATA}', victims: {broken}, attacks: fgsm, eps: 8/255, gradients: fgm}}",
        f"{{data: '{DATA}', victims: {victim}, attacks: fgsm, eps: 8/255, gradients: fgm, limit: 5}}",
    ]
    path = folder / "my.yaml"
    path.write_text(
        f"run: {{data_root: {root}, accelerator: cpu, batch_size: 3}}\n"
        f"suites: {{tiny: {{grids: [{', '.join(grids)}]}}}}\n"
    )
    return path


@pytest.fixture(scope="module")
def alone(bench: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results folder of the same in one process, with another batch size."""
    out = tmp_path_factory.mktemp("alone")
    in_one_process(bench, out, batch_size=13)
    return out


def in_one_process(bench: Path, out: Path, **options: Any) -> RunResults:
    content = load_bench(bench)
    cells = [planned.cell for planned in plan(content, ["tiny"])]
    return run_cells(cells, out, data_root=content.run.data_root, accelerator="cpu", **{"batch_size": 3} | options)


def environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    path = os.pathsep.join(str(folder) for folder in (TESTS, TESTS / "evaluation", TESTS.parent))
    return clean | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def tasks(*arguments: object, folder: Path) -> list[Program]:
    """Start two processes as srun does."""
    common = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0"}
    common |= {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "bench", "SLURM_NODELIST": "localhost"}
    common["MASTER_PORT"] = free_port()
    return [Program(*arguments, folder=folder, **common, SLURM_PROCID=str(k), SLURM_LOCALID=str(k)) for k in (0, 1)]


def rows_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every cell, by the name of its folder, floats to four digits."""
    return {path.parent.name: [rounded(row) for row in pq.read_table(path).to_pylist()]
            for path in sorted(out.glob("*/rows.parquet"))}  # fmt: skip


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: pytest.approx(value, rel=1e-4) if isinstance(value, float) else value for key, value in row.items()}


def accuracies(out: Path) -> dict[str, float]:
    return {path.parent.name: json.loads(path.read_text())["metrics"]["accuracy"] for path in out.glob("*/result.json")}


def test_torchrun_makes_one_evaluation_of_its_processes(bench: Path, alone: Path, tmp_path: Path) -> None:
    limited = ("--set", "suites.tiny.grids.2.limit=1", "--set", "suites.tiny.grids.2.victims.name=tiny_networks:Linear")
    process = start(*TORCHRUN, free_port(), "-m", "lgm_bench", "run", bench, "--out", tmp_path / "out", *limited)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out.count("Results are in") == 1
    assert err.count(f"[1/4] {SKIPNET} pgd") == err.count(f"[2/4] {SKIPNET} fgsm") == 1
    found = rows_of(tmp_path / "out")
    assert {name: rows for name, rows in found.items() if "Linear" not in name} == rows_of(alone)
    assert {name: a for name, a in accuracies(tmp_path / "out").items() if "Linear" not in name} == accuracies(alone)
    assert (tmp_path / "out" / "results.md").is_file() or list((tmp_path / "out").glob("results*.md"))


def test_srun_makes_one_evaluation_and_a_failing_cell_takes_no_other_with_it(
    bench: Path, alone: Path, tmp_path: Path
) -> None:
    first, second = tasks("run", bench, "--out", tmp_path, "--devices", "2", folder=tmp_path)
    assert (first.wait(), second.wait()) == (3, 0), first.err
    assert (second.out, second.err) == ("", "")
    assert "1 cell failed" in first.err
    assert "no weights for torch.float32" in first.err
    assert first.out.count("Results are in") == 1
    assert rows_of(tmp_path) == rows_of(alone)
    assert accuracies(tmp_path) == accuracies(alone)


LONG = ("--set", "suites.tiny.grids=[{data: digits, victims: resnet8-mini, attacks: {name: pgd, steps: 300}, "
        "eps: 8/255, gradients: fgm}]", "--batch-size", "64")  # fmt: skip
DIGITS = 500


def wait_for_a_part(out: Path, process: subprocess.Popen[str]) -> None:
    while not list(out.glob("*/parts/*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def ids_in(out: Path) -> set[str]:
    return {sample_id for path in out.glob("*/parts/*.parquet") for sample_id in pq.read_table(path)["id"].to_pylist()}


def test_a_process_of_torchrun_that_is_killed_ends_the_run_and_loses_nothing(bench: Path, tmp_path: Path) -> None:
    agent = start(*TORCHRUN, free_port(), "-m", "lgm_bench", "run", bench, "--out", tmp_path, *LONG)
    try:
        wait_for_a_part(tmp_path, agent)
        os.kill(worker_of(agent.pid, rank=1), signal.SIGKILL)
        _, err = agent.communicate(timeout=100)
    finally:
        agent.kill()
    assert agent.returncode == 1
    assert "finished batches are kept" in err
    assert "To go on: lgm-bench run" in err
    assert 2 <= len(ids_in(tmp_path)) < DIGITS
    assert not list(tmp_path.glob("*/result.json"))


def worker_of(agent: int, rank: int) -> int:
    for child in children(agent):
        if f"\0RANK={rank}\0" in f"\0{Path(f'/proc/{child}/environ').read_text()}":
            return child
    raise AssertionError(f"the agent {agent} has no rank {rank}")


def children(process: int) -> Iterator[int]:
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        yield from map(int, path.read_text().split())


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [*VARIABLES, *(name for name in os.environ if name.startswith("SLURM_"))]:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def set_all(variables: pytest.MonkeyPatch, **values: object) -> None:
    for name, value in values.items():
        variables.setenv(name, str(value))


def test_who_this_process_is(variables: pytest.MonkeyPatch) -> None:
    assert here() == ALONE
    set_all(variables, WORLD_SIZE=4, MASTER_ADDR="here", MASTER_PORT=1234)
    assert here() == ALONE
    set_all(variables, RANK=3, LOCAL_RANK=1)
    assert here() == Place(3, 4, 1, "here", 1234)
    set_all(variables, RANK=0, WORLD_SIZE=1)
    assert here() == ALONE
    set_all(variables, RANK=4, WORLD_SIZE=4)
    with pytest.raises(ConfigError, match="rank 4 of 4"):
        here()


@pytest.mark.parametrize("rank", ["x", "²", "-1", ""])
def test_a_rank_that_is_no_number(variables: pytest.MonkeyPatch, rank: str) -> None:
    set_all(variables, RANK=rank, WORLD_SIZE=4, MASTER_ADDR="here", MASTER_PORT=1234)
    with pytest.raises(ConfigError, match=r"make no sense \(RANK is .*start them with torchrun or srun"):
        here()


@pytest.mark.parametrize(("rank", "words"), [("1", "RANK is set, but not WORLD_SIZE"), ("²", "make no sense")])
def test_a_rank_alone_is_an_error_of_every_command(variables: pytest.MonkeyPatch, rank: str, words: str) -> None:
    set_all(variables, RANK=rank)
    answer = CliRunner().invoke(app, ["ls", "attacks"])
    assert answer.exit_code == 2
    assert words in answer.stderr


def test_who_this_task_of_srun_is(variables: pytest.MonkeyPatch) -> None:
    slurm = {"SLURM_NTASKS": 4, "SLURM_PROCID": 2, "SLURM_LOCALID": 0, "SLURM_NODEID": 1, "SLURM_JOB_ID": 123456}
    set_all(variables, **slurm, SLURM_NODELIST="node[7-8]", SLURM_JOB_NAME="bench")
    with pytest.raises(ConfigError, match="--ntasks-per-node"):
        here()
    set_all(variables, SLURM_NTASKS_PER_NODE=2)
    assert here() == Place(2, 4, 0, "node7", 18456)
    set_all(variables, SLURM_JOB_NAME="interactive")
    assert here() == ALONE
    set_all(variables, SLURM_JOB_NAME="array", SLURM_NTASKS=1)
    assert here() == ALONE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 3}, "4 processes were started, which does not fit --devices 3 times --num-nodes 1"),
        ({"num_nodes": 3, "devices": 2}, "leave both out, or start 6"),
    ],
)
def test_numbers_that_do_not_fit(
    variables: pytest.MonkeyPatch, bench: Path, tmp_path: Path, options: dict[str, int], message: str
) -> None:
    set_all(variables, RANK=0, WORLD_SIZE=4, LOCAL_RANK=0, MASTER_ADDR="localhost", MASTER_PORT=1)
    with pytest.raises(ConfigError, match=message):
        in_one_process(bench, tmp_path, **options)


def test_several_machines_need_somebody_who_starts_processes_there(bench: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"torchrun --nnodes 2 .*srun --nodes 2"):
        in_one_process(bench, tmp_path, num_nodes=2)
