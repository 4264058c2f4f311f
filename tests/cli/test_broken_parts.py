"""One broken part of a suite costs one cell: code that cannot be imported, raises, or ends the program."""

import sys
from pathlib import Path

import pytest
from answers import Command

CODE = {
    "unfinished.py": "class Net(\n    x = 1\n",
    "leaving.py": "import sys\n\nsys.exit(0)\n",
    "parts.py": """
import sys

from datamodules import DATAMODULES
from lgm_bench.registry import resolve

Digits = resolve("data set", "digits", DATAMODULES)


class Constructor(Digits):
    def __init__(self, **kwargs):
        raise ValueError("no such site")


class Setup(Digits):
    def setup(self, stage):
        raise RuntimeError("no room")


class LeavingData(Digits):
    def setup(self, stage):
        sys.exit(0)


class LeavingNet:
    def __init__(self):
        sys.exit("bye")
""",
}
FAULTS = {
    "{victims: 'unfinished:Net', data: digits": "SyntaxError: '(' was never closed (FOLDER/unfinished.py, line 1)",
    "{victims: 'leaving:Net', data: digits": "module 'leaving' calls sys.exit(0) (FOLDER/leaving.py, line 3)",
    "{victims: resnet8-mini, data: 'parts:Constructor'": "ValueError: no such site (FOLDER/parts.py, line 12)",
    "{victims: resnet8-mini, data: 'parts:Setup'": "RuntimeError: no room (FOLDER/parts.py, line 17)",
    "{victims: resnet8-mini, data: 'parts:LeavingData'": "data set 'parts:LeavingData' calls sys.exit(0) (FOLDER",
    "{victims: 'parts:LeavingNet', data: digits": "victim 'parts:LeavingNet' calls sys.exit('bye') (FOLDER",
}
OF_THE_ATTACK = {
    "attacks: 'unfinished:Attack', gradients: fgm": "attack 'unfinished:Attack': cannot import 'unfinished'",
    "attacks: 'parts:Nothing', gradients: fgm": "attack 'parts:Nothing': module 'parts' has no 'Nothing'",
    "attacks: 'parts:Setup', gradients: fgm": "attack 'parts:Setup' is no class derived from lgm_bench.attacks.Attack",
    "attacks: fgsm, gradients: 'leaving:Gradient'": "module 'leaving' calls sys.exit(0) (FOLDER/leaving.py, line 3)",
    "attacks: fgsm, gradients: 'parts:Setup'": "gradient 'parts:Setup' is no class derived from",
}
SOUND = "{victims: resnet8-mini, data: digits"


@pytest.fixture(autouse=True)
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in CODE.items():
        (tmp_path / name).write_text(text)
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    grids = [f"{grid}, gradients: fgm, attacks: fgsm, eps: 6/255, limit: 4}}" for grid in (*FAULTS, SOUND)]
    text = f"run: {{accelerator: cpu}}\nsuites: {{mine: {{grids: [{', '.join(grids)}]}}}}\n"
    (tmp_path / "my.yaml").write_text(text)
    grids = [f"{{victims: skipnet14-mini, {ones}, data: digits, eps: 6/255, limit: 4}}" for ones in OF_THE_ATTACK]
    grids.append(f"{SOUND}, gradients: fgm, attacks: fgsm, eps: 6/255, limit: 4}}")
    text = f"run: {{accelerator: cpu}}\nsuites: {{mine: {{grids: [{', '.join(grids)}]}}}}\n"
    (tmp_path / "attacks.yaml").write_text(text)


def test_with_skip_missing_each_fails_alone(tmp_path: Path, lgm_bench: Command) -> None:
    answer = lgm_bench("run", "my.yaml", "--skip-missing", "--no-report")
    assert answer.code == 3, answer.err
    failed = [line for line in answer.err.splitlines() if line.startswith("failed: ")]
    for line, fault in zip(failed, FAULTS.values(), strict=True):
        assert fault.replace("FOLDER", str(tmp_path)) in line
    assert "6 cells failed" in answer.err
    assert "6 of 7 cells are not finished yet" in answer.out
    assert "resnet8-mini" in answer.out
    log = (tmp_path / "results" / "failures.log").read_text()
    assert log.count("UTC, ") == 6
    assert f'File "{tmp_path / "parts.py"}", line 17, in setup' in log


def test_without_it_nothing_runs(tmp_path: Path, lgm_bench: Command) -> None:
    answer = lgm_bench("run", "my.yaml")
    assert answer.code == 2
    assert "error: victim 'unfinished:Net': cannot import 'unfinished': SyntaxError" in answer.err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("shard", [(), ("--shard", "1/1")])
def test_a_broken_attack_or_gradient_fails_alone(tmp_path: Path, lgm_bench: Command, shard: tuple[str, ...]) -> None:
    answer = lgm_bench("run", "attacks.yaml", "--skip-missing", "--no-report", *shard)
    assert answer.code == 3, answer.err
    failed = [line for line in answer.err.splitlines() if line.startswith("failed: ")]
    for line, fault in zip(failed, OF_THE_ATTACK.values(), strict=True):
        assert fault.replace("FOLDER", str(tmp_path)) in line
    assert "resnet8-mini" in answer.out


@pytest.mark.parametrize(("file", "faults"), [("my.yaml", FAULTS), ("attacks.yaml", OF_THE_ATTACK)])
def test_trying_a_suite_names_every_broken_cell(
    tmp_path: Path, lgm_bench: Command, file: str, faults: dict[str, str]
) -> None:
    answer = lgm_bench("validate", file)
    assert answer.code == 3, answer.err
    assert answer.out == f"{len(faults) + 1} cells, 1 ok, {len(faults)} failed, 0 missing\n"
    assert all(fault.replace("FOLDER", str(tmp_path)) in answer.err for fault in faults.values())


def test_a_plan_names_broken_cells_and_counts_them_out(lgm_bench: Command) -> None:
    answer = lgm_bench("run", "attacks.yaml", "--skip-missing", "--dry-run")
    assert answer.code == 0, answer.err
    assert answer.err.count("cannot run: skipnet14-mini") == len(OF_THE_ATTACK)
    assert f"{len(OF_THE_ATTACK) + 1} cells, 1 ready" in answer.out
    answer = lgm_bench("run", "attacks.yaml", "--dry-run")
    assert answer.code == 2
    assert answer.err.startswith("error: attack 'unfinished:Attack': cannot import 'unfinished'")
