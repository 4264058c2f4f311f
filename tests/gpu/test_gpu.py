"""Cells on a GPU against the same cells on the CPU: `pytest -m gpu`, which skips where PyTorch finds no GPU.

Their numbers have to agree within the tolerances that leaderboards have for another device. A few cells also run on
the CPU twice, where not one sample may differ: that checks these tests.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lgm_bench.attacks import ATTACKS, GRADIENT_FREE, POINT_ATTACKS
from victims.names import MINIATURES, STATIC_VICTIMS

if TYPE_CHECKING:
    from lgm_bench.evaluation.cells.cell import Cell
    from lgm_bench.results.leaderboard.board import Measured

ROOT = Path(__file__).parents[2]
FAMILIES = [
    *(f"{name}-mini" for name in MINIATURES),
    *(f"{name}10-imagenet-mini" for name in ("resnet", "skipnet", "dynconv")),
    *("minkunet-scannet-mini", "minkunet-s3dis-mini", "cylinder3d-semantickitti-mini", "minknet-modelnet40-mini"),
]
DIGITS, CLOUDS = "dynconv8-mini", "minknet-modelnet40-mini"
METHODS = ("fgm", "lgm", "soft", "straight-through")
OF_FAMILIES = [(name, "bim" if name.startswith(MINIATURES) or "10-" in name else "pointbim") for name in FAMILIES]
OF_ATTACKS = [(CLOUDS if name in POINT_ATTACKS else DIGITS, name) for name in ATTACKS]
CELLS = [
    (victim, attack, "fgm" if victim in STATIC_VICTIMS else "lgm")
    for victim, attack in dict.fromkeys(chain(OF_FAMILIES, OF_ATTACKS))
]
CELLS += [(*both, method) for both, method in product([(DIGITS, "bim"), (CLOUDS, "pointbim")], METHODS[::2])]
QUICK = [(DIGITS, "fgsm", "lgm"), (CLOUDS, "pointbim", "lgm")]
STEPS = {
    "bim": 4,
    "pgd": 4,
    "adam": 4,
    "cw": 4,
    "autopgd": 4,
    "universal": 4,
    "pointbim": 4,
    "pointpert": 4,
    "knnpert": 4,
}


def need_gpus(count: int) -> None:
    import torch

    found = torch.cuda.device_count()
    if found == 0:
        pytest.skip("PyTorch finds no GPU here")
    if found < count:
        pytest.skip(f"this needs {count} GPUs")


def cell_of(victim: str, attack: str, gradient: str) -> "Cell":
    from hand_made import flat_cell

    on_points = attack in POINT_ATTACKS
    data = victim.partition("-")[2] if on_points or "imagenet" in victim else "digits"
    gradient = "none" if attack in GRADIENT_FREE else gradient
    limit = 1 if on_points and data != "modelnet40-mini" else 2 if attack == "autoattack" else 20
    options = {"protocol": "standard", "steps": STEPS.get(attack), "limit": limit}
    return flat_cell(victim, data, attack, gradient, 0.05 if on_points else 8 / 255, **options)


def measured(cell: "Cell", out: Path, **options: Any) -> "Measured":
    """Run a cell into a folder."""
    from lgm_bench.evaluation.engine.runner import run_cells
    from lgm_bench.results.leaderboard.board import read_measured

    for _, error in run_cells([cell], out, **options).failures:
        raise error
    (found,) = read_measured(out)
    return found


def differing_samples(expected: "Measured", found: "Measured") -> int:
    """Return how many samples differ, after checking that all numbers agree within the tolerances."""
    from lgm_bench.results.leaderboard.board import Leaderboard
    from lgm_bench.results.leaderboard.comparing import compare

    (result,) = compare(Leaderboard(suite="gpu", version="0", cells=(expected.entry,)), [found])
    assert result.verdicts == ("ok",), result.numbers
    return len(result.differing)


def lgm_bench(*arguments: object, prefix: tuple[object, ...] = (), **environment: str) -> str:
    """Run the command line as a program of its own, and return all that it printed."""
    command = [sys.executable, *map(str, prefix), "-m", "lgm_bench", *map(str, arguments)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": path} | environment, timeout=300, **options)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.mark.gpu
@pytest.mark.parametrize(("victim", "attack", "gradient"), CELLS)
def test_a_cell_is_that_of_the_cpu(victim: str, attack: str, gradient: str, tmp_path: Path) -> None:
    need_gpus(1)
    cell = cell_of(victim, attack, gradient)
    expected = measured(cell, tmp_path / "cpu", accelerator="cpu")
    found = measured(cell, tmp_path / "gpu", accelerator="gpu")
    assert (expected.entry.device or "").startswith("cpu")
    assert (found.entry.device or "").startswith("cuda")
    differing_samples(expected, found)


@pytest.mark.parametrize(("victim", "attack", "gradient"), QUICK)
def test_a_cell_on_the_cpu_is_itself(victim: str, attack: str, gradient: str, tmp_path: Path) -> None:
    cell = cell_of(victim, attack, gradient)
    expected, found = (measured(cell, tmp_path / name, accelerator="cpu") for name in ("one", "two"))
    assert differing_samples(expected, found) == 0
    other = measured(
        cell_of(victim, "random" if attack == "pointbim" else "noise", "none"), tmp_path / "other", accelerator="cpu"
    )
    disguised = other.entry.model_copy(update={"cell": expected.entry.cell})
    with pytest.raises(AssertionError):
        differing_samples(expected, replace(other, entry=disguised))


def test_every_attack_and_every_network_without_download_is_among_the_cells() -> None:
    from victims import victim_names

    assert {attack for _, attack, _ in CELLS} == set(ATTACKS)
    assert {victim for victim, _, _ in CELLS} == {name for name in victim_names() if name.endswith("-mini")}


@pytest.mark.gpu
def test_two_processes_share_one_gpu(tmp_path: Path) -> None:
    need_gpus(1)
    check_two_processes("gpu", tmp_path)


def check_two_processes(accelerator: str, folder: Path) -> None:
    """Compare a cell by two processes, which torchrun starts on one device, with the cell by one process."""
    from lgm_bench.results.leaderboard.board import read_measured

    bench, out = folder / "my.yaml", folder / "two"
    grid = f"{{victims: {DIGITS}, attacks: {{name: bim, steps: 4}}, eps: 8/255, gradients: lgm, limit: 21}}"
    bench.write_text(f"run: {{accelerator: {accelerator}}}\nsuites: {{one: {{grids: [{grid}]}}}}\n")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    lgm_bench("run", bench, "--out", out, "--quiet", prefix=torchrun, CUDA_VISIBLE_DEVICES=first)
    lgm_bench("run", bench, "--out", folder / "one", "--quiet", CUDA_VISIBLE_DEVICES=first)
    (expected,), (found,) = read_measured(folder / "one"), read_measured(out)
    differing_samples(expected, found)
    (record,) = (json.loads(path.read_text()) for path in out.glob("*/result.json"))
    assert record["run"]["processes"] == 2


@pytest.mark.gpu
def test_two_gpus_share_a_cell(tmp_path: Path) -> None:
    need_gpus(2)
    cell = cell_of(DIGITS, "bim", "lgm")
    expected = measured(cell, tmp_path / "cpu", accelerator="cpu")
    differing_samples(expected, measured(cell, tmp_path / "gpus", accelerator="gpu", devices=2))


@pytest.mark.gpu
def test_training_on_two_gpus_uses_nccl(tmp_path: Path) -> None:
    need_gpus(2)
    assert "NCCL version" in check_training("gpu", tmp_path)


def check_training(accelerator: str, folder: Path) -> str:
    """Train for an epoch on two devices, and return all that was printed."""
    from safetensors.torch import load_file

    recipe, out = folder / "recipe.yaml", folder / "run"
    recipe.write_text("{objective: cross_entropy, epochs: 1, batch_size: 64, learning_rate: 0.05}")
    options = ("--recipe", recipe, "--out", out, "--accelerator", accelerator, "--devices", 2, "--quiet")
    printed = lgm_bench("train", "resnet8-mini", *options, NCCL_DEBUG="VERSION")
    assert json.loads(next(out.glob("*.json")).read_text())["devices"] == 2
    (weights,) = out.glob("*.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(weights).values())
    return printed
